/*
 * Dot-stuffing of a lent stream (RFC 5321 4.5.2): yields slices to write, without copying; and the last guard that no bare
 * CR, bare LF or NUL ever leaves. thread: any; allocates nothing
 */
#ifndef SP_SMTP_STUFF_H
#define SP_SMTP_STUFF_H

#include "base/bytes.h"
#include "base/err.h"

struct sp_smtp_stuff {
    bool in_line; /* the last byte given was not the end of a line */
    bool cr;      /* the last byte given was CR */
};

/* All zero is the start of a message. */
#define SP_SMTP_STUFF_INIT                                                                         \
    {                                                                                              \
        false, false                                                                               \
    }

/*
 * Takes the next slice.
 *
 * in:      in: bytes of the message; out: what is left of them
 * out:     the slice to write: part of in, or a dot (static)
 * returns: SP_OK; *out is empty when in is used up. SP_E_SMTP_BARE_DATA: a bare CR, bare LF or NUL: do not send it
 * cost:    O(slice)
 */
SP_MUST_CHECK enum sp_rc sp_smtp_stuff_next(struct sp_smtp_stuff *st, struct sp_bytes *in,
                                            struct sp_bytes *out);

/*
 * Asks at the end of the message.
 *
 * at_line_start: for sp_smtp_client_body_end
 * returns: SP_OK; SP_E_SMTP_BARE_DATA if the message ends with a bare CR
 */
SP_MUST_CHECK enum sp_rc sp_smtp_stuff_end(const struct sp_smtp_stuff *st, bool *at_line_start);

#endif
