-- result: the type of results.

CREATE TYPE apibase.result AS (ok boolean, value jsonb, error jsonb, replayed boolean);
