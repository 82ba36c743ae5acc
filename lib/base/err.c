/*
 * The table of failures, made from errors.def, and the text that goes with one of them. The text is for the people who
 * run the gateway; a peer only ever sees the table's own words.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

static const struct sp_rc_info table[SP_RC_COUNT] = {
    [SP_OK] = {SP_CLASS_NONE, 250, "2.0.0", "ok", "ok"},
#define SP_E(number, code, class, smtp, enhanced, name, text)                                      \
    [SP_E_##code] = {SP_CLASS_##class, smtp, enhanced, name, text},
#include "base/errors.def"
#undef SP_E
};

const struct sp_rc_info *sp_rc_info(enum sp_rc rc)
{
    if ((unsigned)rc >= SP_RC_COUNT)
        rc = SP_E_INTERNAL;
    return &table[rc];
}

const char *sp_rc_name(enum sp_rc rc)
{
    return sp_rc_info(rc)->name;
}

enum sp_rc sp_fail(struct sp_err *err, enum sp_rc rc, const char *fmt, ...)
{
    va_list args;

    if (err == NULL)
        return rc;
    err->rc = rc;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    return rc;
}

enum sp_rc sp_fail_errno(struct sp_err *err, enum sp_rc rc, int errnum, const char *fmt, ...)
{
    va_list args;
    char why[128];
    int len;

    if (err == NULL)
        return rc;
    err->rc = rc;
    va_start(args, fmt);
    len = vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof(err->text))
        snprintf(err->text + len, sizeof(err->text) - (size_t)len, ": %s",
                 strerror_r(errnum, why, sizeof(why)));
    return rc;
}
