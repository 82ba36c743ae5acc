/*
 * The kind of a message, from the fields that senders of automatic mail are asked to write. It only matters to rules;
 * a forged kind must gain nothing, which is why `discard` is the policy's to forbid for ordinary mail.
 */
#include "mail/kind.h"

static bool has_auto_submitted(const struct sp_header *h)
{
    struct sp_field f;

    return sp_header_find(h, SP_LIT("Auto-Submitted"), 0, &f) &&
           !sp_bytes_eq_nocase(sp_field_token(&f), SP_LIT("no"));
}

static bool is_bulk(const struct sp_header *h)
{
    struct sp_field f;

    if (sp_header_find(h, SP_LIT("List-Id"), 0, &f))
        return true;
    if (!sp_header_find(h, SP_LIT("Precedence"), 0, &f))
        return false;
    return sp_bytes_eq_nocase(sp_field_token(&f), SP_LIT("bulk")) ||
           sp_bytes_eq_nocase(sp_field_token(&f), SP_LIT("list")) ||
           sp_bytes_eq_nocase(sp_field_token(&f), SP_LIT("junk"));
}

/* A report (RFC 6522) says which by its report-type. */
static enum sp_mail_kind kind_of_content(const struct sp_field *type)
{
    struct sp_bytes token = sp_field_token(type), param;

    if (sp_bytes_eq_nocase(token, SP_LIT("multipart/report")) &&
        sp_field_param(type, SP_LIT("report-type"), &param)) {
        if (sp_bytes_eq_nocase(param, SP_LIT("delivery-status")))
            return SP_KIND_DSN;
        if (sp_bytes_eq_nocase(param, SP_LIT("disposition-notification")))
            return SP_KIND_MDN;
    }
    if (sp_bytes_eq_nocase(token, SP_LIT("text/calendar")))
        return SP_KIND_CALENDAR;
    return SP_KIND_MAIL;
}

enum sp_mail_kind sp_mail_kind(const struct sp_header *h)
{
    struct sp_field type;
    enum sp_mail_kind kind = SP_KIND_MAIL;

    if (sp_header_find(h, SP_LIT("Content-Type"), 0, &type))
        kind = kind_of_content(&type);
    if (kind != SP_KIND_MAIL)
        return kind;
    if (has_auto_submitted(h))
        return SP_KIND_AUTO_REPLY;
    return is_bulk(h) ? SP_KIND_BULK : SP_KIND_MAIL;
}

const char *sp_mail_kind_name(enum sp_mail_kind kind)
{
    static const char *const names[] = {
        [SP_KIND_MAIL] = "mail", [SP_KIND_AUTO_REPLY] = "auto-reply", [SP_KIND_DSN] = "dsn",
        [SP_KIND_MDN] = "mdn",   [SP_KIND_CALENDAR] = "calendar",     [SP_KIND_BULK] = "bulk",
    };

    return names[kind];
}
