-- spec.pre.sql: the type spec. Its functions and operators are in spec.sql and spec.post.sql.

CREATE TYPE spec;

CREATE FUNCTION spec_in(cstring) RETURNS spec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_in';

CREATE FUNCTION spec_out(spec) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_out';

CREATE FUNCTION spec_recv(internal) RETURNS spec
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_recv';

CREATE FUNCTION spec_send(spec) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'apibase_spec_send';

CREATE TYPE spec (
    INPUT = spec_in,
    OUTPUT = spec_out,
    RECEIVE = spec_recv,
    SEND = spec_send,
    INTERNALLENGTH = VARIABLE,
    ALIGNMENT = int4,
    STORAGE = extended,
    CATEGORY = 'U'
);
