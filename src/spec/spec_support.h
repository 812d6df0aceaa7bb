/*-------------------------------------------------------------------------
 *
 * spec_support.h
 *	  What the files of the planner support share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef APIBASE_SPEC_SUPPORT_H
#define APIBASE_SPEC_SUPPORT_H

#include "spec/spec.h"

#include "nodes/supportnodes.h"

/* spec_gin.c */
extern List *apibase_spec_index_conditions(SupportRequestIndexCondition *request);

#endif							/* APIBASE_SPEC_SUPPORT_H */
