/*
 * Long stretches of ordinary text, found many bytes at a time, so that the walk from line to line is for the rest.
 * thread: any; allocates nothing
 */
#ifndef SP_SMTP_CLEAN_H
#define SP_SMTP_CLEAN_H

#include "base/bytes.h"

/*
 * Looks for faults in text: a CR without LF behind it, a LF without CR before it, a NUL; and for a dot that begins a line.
 *
 * before:  the byte before the text, which is no CR; LF where a line begins
 * returns: a number of bytes from the start that hold none of these and do not end with CR; 0 if that is too few to tell
 */
size_t sp_smtp_clean_len(struct sp_bytes text, uint8_t before);

/* returns: whether any byte is above 127 */
bool sp_smtp_clean_has_high(struct sp_bytes text);

#endif
