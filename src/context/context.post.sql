-- context: comments. Everybody may read what the request says about itself.

COMMENT ON FUNCTION apibase.request_id() IS
    'Id of the request: from a header, or the trace id of traceparent, or one for the transaction';
COMMENT ON FUNCTION apibase.request_method() IS 'Method of the request, such as GET; null outside of a request';
COMMENT ON FUNCTION apibase.request_path() IS 'Path of the request, without its query string; null outside of a request';
COMMENT ON FUNCTION apibase.request_headers() IS 'All headers of the request as a JSON object; null outside of a request';
COMMENT ON FUNCTION apibase.request_header(text) IS 'A header of the request, its name in any case; null when it is absent';
COMMENT ON FUNCTION apibase.request_cookies() IS 'All cookies of the request as a JSON object; null outside of a request';
COMMENT ON FUNCTION apibase.request_cookie(text) IS 'A cookie of the request; null when it is absent';
COMMENT ON FUNCTION apibase.request_claims() IS 'All claims of the request''s token as a JSON object; null outside of a request';
COMMENT ON FUNCTION apibase.request_claim(text[]) IS
    'A claim of the request''s token, or what is inside of one, as text; null when it is absent';
