/*
 * Memory with a descriptor, for what goes to another of our processes. thread: any
 */
#ifndef SP_BASE_MEMFD_H
#define SP_BASE_MEMFD_H

#include <stdbool.h>

/*
 * Makes one that can be sealed and, where the kernel knows how (Linux 6.3), can never be executed: a role that may run
 * gpg must not run bytes that it was handed or has written.
 *
 * name:    for people, as it stands in /proc
 * returns: the descriptor, closed by exec; -1 and errno. owner: the caller
 */
int sp_memfd_new(const char *name);

/* returns: whether this kernel makes such memory that can't be executed */
bool sp_memfd_is_noexec(void);

#endif
