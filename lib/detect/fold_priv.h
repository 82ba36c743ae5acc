/* Characters that look like ASCII: fold.c. */
#ifndef SP_DETECT_FOLD_PRIV_H
#define SP_DETECT_FOLD_PRIV_H

#include <stdint.h>

#define DETECT_FOLD_NOTHING 0
#define DETECT_FOLD_DOT                                                                            \
    1 /* a stop behind a letter or digit, itself elsewhere: "219·45·6781", a list's bullet */
#define DETECT_FOLD_LINE 2    /* the end of a line: a mainframe's NL, Unicode's own */
#define DETECT_FOLD_SELF 0x80 /* no other sign */
#define DETECT_FOLD_RAISED                                                                         \
    0x90 /* and the digit: behind a letter or digit a footnote's mark or a power, which goes */

/* returns: the ASCII character that it is taken for, or one of the above */
uint8_t sp_detect_fold(uint32_t point);

#endif
