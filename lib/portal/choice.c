/*
 * What a recipient chooses for mail to come: a page behind the same log-in as the message, since whoever reads the mailbox of an
 * address may speak for it. What is chosen holds for the tenant whose message is open, and for a time; it goes to the ledger
 * as an audit record, and from there to the relays, so that no choice is shown that is not on record. Ordinary mail can't be
 * chosen here: that needs a warning which somebody has given (45 CFR 164.522(b)), and stands in the house's registry.
 */
#include "portal/portal_priv.h"

#include <stdio.h>

#include "base/text.h"
#include "web/form.h"

#define HOUR_MS         (3600LL * 1000)
#define CHANGES_AN_HOUR 20
#define EVENT_MAX       8192

static const struct {
    const char *name;  /* in forms and records */
    const char *label; /* what a person chooses */
    const char *help;
} choices[] = {
    [SP_PORTAL_CHOICE_NONE] = {"none", "As the sender's own rules say",
                               "Nothing of yours is kept."},
    [SP_PORTAL_CHOICE_TLS] = {"tls", "Into my mailbox, over an encrypted connection (TLS)",
                              "Where your mail provider proves that the connection is safe. "
                              "Otherwise it waits here."},
    [SP_PORTAL_CHOICE_SEALED] = {"sealed", "Encrypted with my own key (S/MIME or PGP)",
                                 "If the sender knows a key of yours and its rules send by key. "
                                 "Otherwise it waits here."},
    [SP_PORTAL_CHOICE_PORTAL] = {"portal", "On these pages",
                                 "A notice tells you of each message; you read it here with a "
                                 "code."},
};

static bool parse(struct sp_bytes text, enum sp_portal_choice *out)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(choices); i++) {
        if (sp_bytes_eq(text, sp_bytes_cstr(choices[i].name))) {
            *out = (enum sp_portal_choice)i;
            return true;
        }
    }
    return false;
}

/* ---- the page ---- */

static void put_now(struct sp_buf *b, const struct sp_portal_wish *wish)
{
    char until[SP_TIME_TEXT_MAX];

    if (wish->choice == SP_PORTAL_CHOICE_NONE) {
        sp_buf_put_cstr(b, "<p id=\"now\" role=\"status\">You have chosen nothing.</p>\n");
        return;
    }
    sp_time_format_rfc5322(wish->until_ms, until);
    sp_buf_printf(b,
                  "<p id=\"now\" role=\"status\">You have chosen: <strong>%s</strong>. It holds "
                  "until %.16s; then, or when you take it back, the sender's own rules are asked "
                  "alone.</p>\n",
                  choices[wish->choice].label, until);
}

static void put_form(struct sp_buf *b, const struct portal_package *pkg,
                     const struct sp_portal_wish *wish)
{
    sp_buf_printf(b,
                  "<form method=\"post\" action=\"/m/%s/choice\" autocomplete=\"off\">\n"
                  "<fieldset>\n<legend>Future messages</legend>\n",
                  pkg->id);
    for (size_t i = 0; i < SP_ARRAY_LEN(choices); i++)
        sp_buf_printf(b,
                      "<p class=\"choice\"><input type=\"radio\" id=\"%s\" name=\"choice\" "
                      "value=\"%s\"%s aria-describedby=\"%s-help\">\n<label for=\"%s\">%s</label>\n"
                      "<span class=\"dim\" id=\"%s-help\">%s</span></p>\n",
                      choices[i].name, choices[i].name, (size_t)wish->choice == i ? " checked" : "",
                      choices[i].name, choices[i].name, choices[i].label, choices[i].name,
                      choices[i].help);
    sp_buf_put_cstr(b, "</fieldset>\n<button type=\"submit\">Save</button>\n</form>\n");
}

static void send_page(struct sp_web_request *req, const struct portal_package *pkg,
                      const struct sp_portal_wish *wish)
{
    struct sp_buf b;

    sp_buf_init(&b, PORTAL_PAGE_MAX);
    sp_portal_page_begin(&b, "How mail reaches you");
    sp_buf_put_cstr(&b, "<h1>How mail reaches you</h1>\n<p>Choose how this sender's organisation "
                        "sends future messages to <strong>");
    sp_web_html_escape(&b, sp_bytes_cstr(pkg->recipient));
    sp_buf_put_cstr(&b, "</strong>. What you choose is a wish: its own rules come first. "
                        "They may protect a message more than you ask, never less than they "
                        "would without you.</p>\n");
    put_now(&b, wish);
    put_form(&b, pkg, wish);
    sp_buf_printf(&b, "<p><a href=\"/m/%s\">Back to the message</a></p>\n", pkg->id);
    sp_portal_page_end(&b);
    sp_portal_page_send(req, 200, &b);
}

static void on_found(void *arg, enum sp_rc rc, const struct sp_portal_wish *wish)
{
    struct portal_wait *w = arg;
    struct sp_web_request *req = sp_web_server_find(w->portal->web, w->request);

    if (req != NULL && rc != SP_OK)
        sp_web_reply_error(req, 503);
    else if (req != NULL)
        send_page(req, &w->package, wish);
    sp_portal_wait_free(w);
}

static bool is_offered(struct sp_portal *p, struct sp_web_request *req)
{
    if (p->o.choice_ms > 0)
        return true;
    sp_web_reply_error(req, 404);
    return false;
}

void sp_portal_on_choice(void *arg, struct sp_web_request *req)
{
    struct sp_portal *p = arg;
    struct portal_package pkg;
    struct portal_wait *w;

    if (!is_offered(p, req) || !sp_portal_may_read(p, req, &pkg))
        return;
    w = sp_portal_wait_new(p, req, &pkg, NULL);
    p->o.ops.find_wish(p->o.ops.ctx, sp_bytes_cstr(w->package.tenant),
                       sp_bytes_cstr(w->package.recipient), on_found, w);
}

/* ---- a choice ---- */

static void put_entry(struct sp_jw *w, enum sp_portal_choice choice, int64_t now_ms,
                      int64_t until_ms)
{
    char given[SP_TIME_TEXT_MAX], until[SP_TIME_TEXT_MAX];

    sp_time_format_rfc3339(now_ms, given);
    sp_time_format_rfc3339(until_ms, until);
    sp_jw_object(w, "entry");
    sp_jw_cstr(w, "preference", choices[choice].name);
    sp_jw_cstr(w, "given", given);
    sp_jw_cstr(w, "until", until);
    sp_jw_cstr(w, "by", "recipient, in the portal");
    sp_jw_end(w);
}

static void write_event(struct sp_portal *p, const struct portal_package *pkg,
                        enum sp_portal_choice choice, struct sp_bytes client, struct sp_buf *out)
{
    int64_t now_ms = sp_clock_wall_ms(p->o.clock);
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "preference.changed");
    sp_jw_cstr(&w, "tenant", pkg->tenant);
    sp_jw_cstr(&w, "recipient", pkg->recipient);
    sp_jw_cstr(&w, "source", "recipient");
    sp_jw_cstr(&w, "change", choice == SP_PORTAL_CHOICE_NONE ? "removed" : "set");
    if (choice != SP_PORTAL_CHOICE_NONE)
        put_entry(&w, choice, now_ms, now_ms + p->o.choice_ms);
    sp_jw_cstr(&w, "package", pkg->id);
    sp_jw_object(&w, "actor");
    sp_jw_cstr(&w, "type", "recipient");
    sp_jw_cstr(&w, "id", pkg->recipient);
    sp_jw_cstr(&w, "auth", "code");
    sp_jw_text(&w, "ip", client);
    sp_jw_end(&w);
    sp_jw_end(&w);
}

/* It is on record: the page shows it from there. */
static void recorded(struct portal_wait *w, struct sp_web_request *req)
{
    char path[16 + SP_PORTAL_PACKAGE_MAX];

    (void)snprintf(path, sizeof(path), "/m/%s/choice", w->package.id);
    sp_web_reply_see(req, path);
}

static bool read_choice(struct sp_web_request *req, enum sp_portal_choice *out)
{
    struct sp_buf field;
    bool ok;

    sp_buf_init(&field, 64);
    ok = sp_web_request_form(req, SP_LIT("choice"), &field) && parse(sp_buf_bytes(&field), out);
    sp_buf_clear(&field);
    return ok;
}

void sp_portal_on_choose(void *arg, struct sp_web_request *req)
{
    struct sp_portal *p = arg;
    char client[SP_ADDR_TEXT_MAX];
    struct portal_package pkg;
    enum sp_portal_choice choice;
    struct sp_buf event;

    if (sp_portal_is_foreign(req) || !is_offered(p, req) || !sp_portal_may_read(p, req, &pkg))
        return;
    if (!read_choice(req, &choice)) {
        sp_web_reply_error(req, 400);
        return;
    }
    if (!sp_portal_limit_take(p, "choices", sp_bytes_cstr(pkg.recipient), HOUR_MS,
                              CHANGES_AN_HOUR)) {
        sp_web_reply_error(req, 429);
        return;
    }
    sp_buf_init(&event, EVENT_MAX);
    write_event(p, &pkg, choice, sp_portal_client(req, client), &event);
    sp_assert(sp_buf_rc(&event) == SP_OK);
    sp_portal_after_event(sp_portal_wait_new(p, req, &pkg, recorded), sp_buf_bytes(&event));
    sp_buf_clear(&event);
}
