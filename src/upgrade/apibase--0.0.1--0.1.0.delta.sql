-- 0.0.1 to 0.1.0: the module spec is new; context has cookies, which are functions only.

\include spec/spec.pre.sql
\functions
\include spec/spec.post.sql
