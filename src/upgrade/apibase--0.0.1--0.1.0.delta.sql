-- 0.0.1 to 0.1.0: the modules spec, cache, decorate, result, bus and events are new; context has cookies, which are functions only.

\include spec/spec.pre.sql
\include cache/cache.pre.sql
\include decorate/decorate.pre.sql
\include result/result.pre.sql
\include bus/bus.pre.sql
\include events/events.pre.sql
\functions
\include spec/spec.post.sql
\include cache/cache.post.sql
\include decorate/decorate.post.sql
\include result/result.post.sql
\include bus/bus.post.sql
\include events/events.post.sql
