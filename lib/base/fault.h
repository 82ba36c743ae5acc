/*
 * SP_FAULT("queue.sync") marks where disk, memory or a process may fail. In test builds (SP_FAULTS) it is true on the
 * n-th passage that the environment variable SP_FAULT_AT asks for ("name:n", or "*:n" for the n-th of any); in other
 * builds it is the constant false. The names passed are appended to the file of SP_FAULT_LOG, if set. thread: any
 */
#ifndef SP_BASE_FAULT_H
#define SP_BASE_FAULT_H

#include <stdbool.h>

#ifdef SP_FAULTS
#define SP_FAULT(name) sp_fault_is_due(name)
#else
#define SP_FAULT(name) false
#endif

/* returns: whether this passage is to fail. Use the macro. */
bool sp_fault_is_due(const char *name);

#endif
