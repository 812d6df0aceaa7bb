/*
 * cppcheck.h - what cppcheck must know of the server's macros; it reads no headers of the server. scripts/lint includes it.
 */
#define PG_VERSION_NUM 150000
#define foreach(cell, list) for ((cell) = begin(list); (cell); (cell) = next(list))
#define forboth(a, x, b, y) for ((a) = begin(x), (b) = begin(y); (a) && (b); (a) = next(x), (b) = next(y))
#define for_each_from(cell, list, n) for ((cell) = begin_at(list, n); (cell); (cell) = next(list))
#define dlist_foreach(iter, head) for ((iter).cur = begin(head); (iter).cur; (iter).cur = next(head))
#define dlist_foreach_modify(iter, head) for ((iter).cur = begin(head); (iter).cur; (iter).cur = next(head))
#define PG_FUNCTION_INFO_V1(name) extern int name
#define PG_FUNCTION_ARGS void *fcinfo
#define PG_MODULE_MAGIC extern int magic
#define PG_TRY() do { if (1) {
#define PG_CATCH() } else {
#define PG_FINALLY() } if (1) {
#define PG_END_TRY() } } while (0)
#define lengthof(array) (sizeof(array) / sizeof((array)[0]))
#define FLEXIBLE_ARRAY_MEMBER
#define pg_attribute_noreturn() __attribute__((noreturn))
