-- cache: the configuration of namespaces

CREATE TABLE apibase.cache_namespaces (
    namespace text CONSTRAINT cache_namespaces_pkey PRIMARY KEY
        CONSTRAINT cache_namespaces_namespace_has_no_colon CHECK (position(':' IN namespace) = 0)
        CONSTRAINT cache_namespaces_namespace_has_at_most_63_bytes CHECK (octet_length(namespace) <= 63),
    ttl interval
        CONSTRAINT cache_namespaces_ttl_is_positive CHECK (ttl > interval '0'),
    max_entries bigint
        CONSTRAINT cache_namespaces_max_entries_is_positive CHECK (max_entries > 0),
    max_bytes bigint
        CONSTRAINT cache_namespaces_max_bytes_is_positive CHECK (max_bytes > 0),
    levels integer[] NOT NULL DEFAULT '{1,2}'
        CONSTRAINT cache_namespaces_levels_are_1_and_2 CHECK
            (levels <@ '{1,2}' AND levels <> '{}'),
    key_prefix text
        CONSTRAINT cache_namespaces_key_prefix_has_at_most_63_bytes CHECK (octet_length(key_prefix) <= 63),
    jitter double precision
        CONSTRAINT cache_namespaces_jitter_is_from_0_to_1 CHECK (jitter BETWEEN 0 AND 1)
);
SELECT pg_catalog.pg_extension_config_dump('apibase.cache_namespaces', '');
