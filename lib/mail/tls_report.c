/*
 * RFC 8460 5.3: the subject, the two header fields by which a receiver sorts reports, and the attachment's name are given
 * to the letter there. "TLS-Required: No" says to each relay on the way what the RFC asks of us: a report about broken TLS
 * must not be stopped by it (RFC 8689 1). The boundary needs no search: base 64 and our own text hold no "=_".
 */
#include "mail/tls_report.h"

#include "base/text.h"
#include "mail/compose.h"

#define BOUNDARY  "=_tls-report"
#define LINE_LEN  57 /* bytes that make 76 letters */
#define FIELD_MAX 2048

static void put_joined(struct sp_compose *c, const char *name, struct sp_buf *value)
{
    if (sp_buf_rc(value) != SP_OK && c->rc == SP_OK)
        c->rc = SP_E_LIMIT;
    sp_compose_field(c, name, sp_buf_bytes(value));
    sp_buf_reset(value);
}

static void put_top(struct sp_compose *c, const struct sp_tls_report *r, struct sp_buf *b)
{
    sp_compose_address(c, "From", SP_LIT("TLS reports"), r->from);
    sp_compose_address(c, "To", SP_LIT(""), r->to);
    sp_buf_printf(b, "Report Domain: %.*s Submitter: %.*s Report-ID: <%.*s>", SP_FMT(r->domain),
                  SP_FMT(r->submitter), SP_FMT(r->id));
    put_joined(c, "Subject", b);
    sp_compose_date(c, "Date", r->now_ms);
    sp_compose_field(c, "Message-ID", r->message_id);
    sp_compose_field(c, "TLS-Report-Domain", r->domain);
    sp_compose_field(c, "TLS-Report-Submitter", r->submitter);
    sp_compose_line(c, "TLS-Required: No");
    sp_compose_line(c, "Auto-Submitted: auto-generated");
    sp_compose_line(c, "MIME-Version: 1.0");
    sp_compose_line(c, "Content-Type: multipart/report; report-type=\"tlsrpt\";");
    sp_compose_line(c, " boundary=\"" BOUNDARY "\"");
}

static void put_text(struct sp_compose *c, const struct sp_tls_report *r, struct sp_buf *b)
{
    sp_compose_line(c, "");
    sp_compose_line(c, "--" BOUNDARY);
    sp_compose_line(c, "Content-Type: text/plain; charset=utf-8");
    sp_compose_line(c, "Content-Transfer-Encoding: quoted-printable");
    sp_compose_line(c, "");
    sp_buf_printf(b,
                  "This is a TLS report (RFC 8460) by %.*s about mail to %.*s.\n"
                  "The attachment holds it as JSON, compressed by gzip.\n",
                  SP_FMT(r->submitter), SP_FMT(r->domain));
    sp_compose_quoted(c, sp_buf_bytes(b));
    sp_buf_reset(b);
}

static void put_report(struct sp_compose *c, const struct sp_tls_report *r, struct sp_buf *b)
{
    sp_compose_line(c, "");
    sp_compose_line(c, "--" BOUNDARY);
    sp_compose_line(c, "Content-Type: application/tlsrpt+gzip");
    sp_compose_line(c, "Content-Transfer-Encoding: base64");
    sp_buf_printf(b, "attachment; filename=\"%.*s!%.*s!%lld!%lld.json.gz\"", SP_FMT(r->submitter),
                  SP_FMT(r->domain), (long long)r->from_s, (long long)r->to_s);
    put_joined(c, "Content-Disposition", b);
    sp_compose_line(c, "");
    for (size_t at = 0; at < r->gzip.len; at += LINE_LEN) {
        sp_base64_encode(c->out, sp_bytes_slice(r->gzip, at, LINE_LEN));
        sp_compose_line(c, "");
    }
    sp_compose_line(c, "--" BOUNDARY "--");
}

enum sp_rc sp_tls_report_build(const struct sp_tls_report *r, struct sp_buf *out)
{
    struct sp_compose c;
    struct sp_buf b;

    sp_compose_init(&c, out);
    sp_buf_init(&b, FIELD_MAX);
    put_top(&c, r, &b);
    put_text(&c, r, &b);
    put_report(&c, r, &b);
    sp_buf_clear(&b);
    return sp_compose_end(&c);
}
