/*-------------------------------------------------------------------------
 *
 * decorate.c
 *	  The table of decorators, and what the module table asks for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/shmem.h"

#include "decorate/decorate_chain.h"

/* The order is that of their pieces of shared memory, and of their locks. */
static const ApibaseDecorator *const decorators[] = {
	&apibase_decorator_bulkhead,
	&apibase_decorator_cached,
	&apibase_decorator_circuit_breaker,
	&apibase_decorator_logged,
	&apibase_decorator_memoized,
	&apibase_decorator_retry,
	&apibase_decorator_timeout,
	&apibase_decorator_validated,
};

StaticAssertDecl(lengthof(decorators) <= APIBASE_DECORATE_NLOCKS, "each decorator has a lock");

const ApibaseDecorator *
decorate_decorator(const char *name)
{
	for (size_t i = 0; i < lengthof(decorators); i++)
	{
		if (strcmp(decorators[i]->name, name) == 0)
			return decorators[i];
	}
	return NULL;
}

void
apibase_decorate_define_gucs(void)
{
	for (size_t i = 0; i < lengthof(decorators); i++)
	{
		if (decorators[i]->define_gucs)
			decorators[i]->define_gucs();
	}
	decorate_chain_install();
	decorate_events_install();
}

Size
apibase_decorate_shmem_size(void)
{
	Size		size = 0;

	for (size_t i = 0; i < lengthof(decorators); i++)
	{
		if (decorators[i]->shmem_size)
			size = add_size(size, MAXALIGN(decorators[i]->shmem_size()));
	}
	return size;
}

void
apibase_decorate_shmem_init(void *area, LWLockPadded *locks, bool found)
{
	char	   *piece = area;

	for (size_t i = 0; i < lengthof(decorators); i++)
	{
		if (decorators[i]->shmem_init)
			decorators[i]->shmem_init(piece, &locks[i].lock, found);
		if (decorators[i]->shmem_size)
			piece += MAXALIGN(decorators[i]->shmem_size());
	}
}
