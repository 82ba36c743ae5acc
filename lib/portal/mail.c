/*
 * The mail with a code. It says nothing of the message: not who wrote, not about what. No field is built from foreign
 * bytes but the recipient's address, which the deposit has taken only without control characters.
 */
#include "portal/portal_priv.h"

static void put_head(struct sp_portal *p, const struct portal_package *pkg, struct sp_buf *b)
{
    char date[SP_TIME_TEXT_MAX], id_text[SP_ID_TEXT_LEN + 1];
    struct sp_id id = sp_id_new(p->o.clock, p->o.random);

    sp_time_format_rfc5322(sp_clock_wall_ms(p->o.clock), date);
    sp_id_format(&id, id_text);
    sp_buf_printf(b, "From: Secure mail <%s>\r\n", p->o.mail_from);
    sp_buf_printf(b, "To: <%s>\r\n", pkg->recipient);
    sp_buf_put_cstr(b, "Subject: Your code for a secure message\r\n");
    sp_buf_printf(b, "Date: %s\r\n", date);
    sp_buf_printf(b, "Message-ID: <%s@%s>\r\n", id_text, p->o.hostname);
    sp_buf_put_cstr(b, "Auto-Submitted: auto-generated\r\n"
                       "MIME-Version: 1.0\r\n"
                       "Content-Type: text/plain; charset=utf-8\r\n"
                       "\r\n");
}

void sp_portal_mail_code(struct sp_portal *p, const struct portal_package *pkg, const char *code)
{
    struct sp_buf b;

    sp_buf_init(&b, 4096);
    put_head(p, pkg, &b);
    sp_buf_printf(&b, "Your code is %.4s %s\r\n\r\n", code, code + 4);
    sp_buf_printf(&b,
                  "Enter it on the page where you asked for it, in the same browser. It is good\r\n"
                  "for %d minutes and for one use.\r\n\r\n",
                  (int)(p->o.code_ms / 60000));
    sp_buf_put_cstr(&b,
                    "If you did not ask for a code, you need do nothing: without it the message\r\n"
                    "stays closed. Never give the code to anybody.\r\n");
    if (sp_buf_rc(&b) == SP_OK) {
        struct sp_portal_mail mail = {
            .tenant = sp_bytes_cstr(pkg->tenant),
            .to = sp_bytes_cstr(pkg->recipient),
            .floor = sp_bytes_cstr(pkg->floor),
            .content = sp_buf_bytes(&b),
            .cause = pkg->message,
            .expires_at_ms = sp_clock_wall_ms(p->o.clock) + p->o.code_ms,
        };

        p->o.ops.submit(p->o.ops.ctx, &mail);
        sp_log_info(p->o.log, "portal.code-sent", SP_ID("message", &pkg->message));
    }
    sp_buf_wipe(&b);
}
