/*
 * What is put before a message that passes, and what is taken out. The Received field is built from values that the
 * machine has checked (address text, TLS names) and from the client's EHLO word, which is cleaned to printable ASCII
 * without brackets and parentheses, so that it can't pretend to be another part of the field.
 */
#include "mail/trace.h"

#include "mail/compose.h"

static void put_helo(struct sp_buf *out, struct sp_bytes helo)
{
    if (helo.len == 0)
        sp_buf_put_cstr(out, "unknown");
    for (size_t i = 0; i < helo.len && i < 255; i++) {
        uint8_t c = helo.ptr[i];

        if (c <= 32 || c > 126 || c == '(' || c == ')' || c == '\\' || c == ';')
            c = '?';
        sp_buf_put_u8(out, c);
    }
}

enum sp_rc sp_trace_build(const struct sp_trace *t, struct sp_buf *out)
{
    struct sp_buf value;
    struct sp_compose c;
    char id[SP_ID_TEXT_LEN + 1], date[SP_TIME_TEXT_MAX];
    enum sp_rc rc;

    sp_buf_init(&value, 1024);
    sp_compose_init(&c, out);
    sp_id_format(&t->id, id);
    sp_time_format_rfc5322(t->now_ms, date);
    sp_buf_put_cstr(&value, "from ");
    put_helo(&value, t->helo);
    sp_buf_put_cstr(&value, sp_bytes_find(t->ip, ':') == SIZE_MAX ? " ([" : " ([IPv6:");
    sp_buf_put(&value, t->ip); /* RFC 5321 4.1.3 */
    sp_buf_put_cstr(&value, "]) by ");
    sp_buf_put(&value, t->host);
    sp_buf_put_cstr(&value, " with ");
    sp_buf_put_cstr(&value, t->with);
    if (t->tls_version.len > 0) {
        sp_buf_put_cstr(&value, " (version=");
        sp_buf_put(&value, t->tls_version);
        sp_buf_put_cstr(&value, " cipher=");
        sp_buf_put(&value, t->tls_cipher);
        sp_buf_put_cstr(&value, ")");
    }
    sp_buf_put_cstr(&value, " id ");
    sp_buf_put_cstr(&value, id);
    sp_buf_put_cstr(&value, "; ");
    sp_buf_put_cstr(&value, date);
    rc = sp_buf_rc(&value);
    sp_compose_field(&c, "Received", sp_buf_bytes(&value));
    sp_compose_field(&c, SP_TRACE_MARK, t->mark);
    sp_buf_clear(&value);
    return rc != SP_OK ? rc : sp_compose_end(&c);
}

bool sp_trace_is_loop(const struct sp_header *h, struct sp_bytes mark)
{
    struct sp_field f;
    size_t at = 0, received = 0;

    while (sp_header_next(h, &at, &f)) {
        if (sp_field_is(&f, SP_LIT("Received")) && ++received > SP_TRACE_RECEIVED_MAX)
            return true;
        if (sp_field_is(&f, SP_LIT(SP_TRACE_MARK)) && sp_bytes_eq(sp_bytes_trim(f.value), mark))
            return true;
    }
    return false;
}

bool sp_trace_is_private(const struct sp_field *f, struct sp_bytes secret)
{
    static const struct sp_bytes prefixes[] = {
        SP_LIT_INIT("X-MS-Exchange-Organization-"),
        SP_LIT_INIT("X-MS-Exchange-CrossPremises-"),
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(prefixes); i++) {
        if (sp_bytes_starts_nocase(f->name, prefixes[i]))
            return true;
    }
    return sp_field_is(f, SP_LIT("Bcc")) || sp_field_is(f, SP_LIT("Resent-Bcc")) ||
           (secret.len > 0 && sp_field_is(f, secret));
}
