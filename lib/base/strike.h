/*
 * SP_STRIKE("scanner", head) is for test builds (SP_FAULTS): a message that carries "X-Sallyport-Strike: scanner-crash" in
 * its first lines makes the named role misbehave as the worst of messages would, "crash", "hang", "spin" or "swell". In
 * other builds it is nothing, and the field a field like any other. thread: any
 */
#ifndef SP_BASE_STRIKE_H
#define SP_BASE_STRIKE_H

#include "base/bytes.h"

#ifdef SP_FAULTS
#define SP_STRIKE(role, head) sp_strike(role, head)
#else
#define SP_STRIKE(role, head) ((void)(head))
#endif

#define SP_STRIKE_HEAD_LEN 4096 /* as far as one looks */

/* Does what the field asks of this role, if it is there. Use the macro. */
void sp_strike(const char *role, struct sp_bytes head);

#endif
