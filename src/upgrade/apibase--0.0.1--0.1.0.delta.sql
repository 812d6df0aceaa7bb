-- 0.0.1 to 0.1.0: the modules spec, cache and decorate are new; context has cookies, which are functions only.

\include spec/spec.pre.sql
\include cache/cache.pre.sql
\include decorate/decorate.pre.sql
\functions
\include spec/spec.post.sql
\include cache/cache.post.sql
\include decorate/decorate.post.sql
