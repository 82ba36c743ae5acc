/* Looking up exact data, for the file that reads a window for it. */
#ifndef SP_DETECT_EXACT_PRIV_H
#define SP_DETECT_EXACT_PRIV_H

#include "detect/detect_priv.h"
#include "detect/own.h"

/* returns: whether the index holds a person of that name */
bool sp_detect_exact_has_name(const struct sp_detect_exact *x, struct sp_bytes given,
                              struct sp_bytes family);
/* returns: the type of that number, or SP_DETECT_TYPES if the index does not hold it */
enum sp_detect_type sp_detect_exact_find(const struct sp_detect_exact *x, struct sp_bytes value);

#endif
