/*
 * What becomes due while nobody opens a package: reminders to the recipient, and a word to the sender. The times are rows,
 * made with the package; one is done when the mail is in the queue and the audit has it, and only then the row goes, so
 * that a crash makes a second reminder at worst (and not even that, while the relay remembers the first). One that can't be
 * made now lets the others pass and is tried again; one that can never be made is dropped, and told. A package that was opened, or is gone, owes nobody a reminder. Neither mail holds a word of the message.
 */
#include "mail/compose.h"
#include "portal/portal_priv.h"

#define MAIL_LEN_MAX 65536
#define LIFE_MS      ((int64_t)2 * 24 * 3600 * 1000)
#define AGAIN_MS     60000
#define LEAST_MS     2
#define ONCE_LEN_MAX 128

static enum sp_rc build(struct sp_portal *p, struct sp_notice *n, struct sp_buf *text,
                        struct sp_buf *out)
{
    enum sp_rc rc = sp_buf_rc(text);

    n->id = sp_id_new(p->o.clock, p->o.random);
    n->host = sp_bytes_cstr(p->o.hostname);
    n->from = sp_bytes_cstr(p->o.mail_from);
    n->text = sp_buf_bytes(text);
    n->now_ms = sp_clock_wall_ms(p->o.clock);
    return rc == SP_OK ? sp_notice_build(n, out) : rc;
}

static enum sp_rc build_reminder(struct sp_portal *p, const struct portal_due *due,
                                 struct sp_buf *out)
{
    const struct portal_package *pkg = &due->package;
    char token[PORTAL_SECRET_TEXT], time[SP_TIME_TEXT_MAX];
    struct sp_notice n = {.from_name = sp_bytes_cstr(due->name[0] != 0 ? due->name : "Secure mail"),
                          .to = sp_bytes_cstr(pkg->recipient),
                          .subject = SP_LIT("A secure message still waits for you")};
    struct sp_buf text;
    enum sp_rc rc;

    sp_portal_token_of(p, pkg, token);
    sp_time_format_rfc3339(pkg->expires_ms, time);
    sp_buf_init(&text, MAIL_LEN_MAX);
    sp_buf_printf(&text,
                  "A secure message for you has not been opened yet.\n\nTo read it, open this "
                  "page:\n\n%s/p#%s\n\nA code will be sent to this mailbox to prove that it is "
                  "yours.\nThe message can be read until %.10s.\n",
                  p->o.url, token, time);
    rc = build(p, &n, &text, out);
    sp_buf_wipe(&text);
    sp_wipe(token, sizeof(token));
    return rc;
}

static enum sp_rc build_word(struct sp_portal *p, const struct portal_due *due, struct sp_buf *out)
{
    const struct portal_package *pkg = &due->package;
    char sent[SP_TIME_TEXT_MAX], until[SP_TIME_TEXT_MAX];
    struct sp_notice n = {.from_name = SP_LIT("Secure mail"),
                          .to = sp_bytes_cstr(pkg->sender),
                          .subject = SP_LIT("Your secure message has not been opened")};
    struct sp_buf text;
    enum sp_rc rc;

    sp_time_format_rfc3339(pkg->created_ms, sent);
    sp_time_format_rfc3339(pkg->expires_ms, until);
    sp_buf_init(&text, MAIL_LEN_MAX);
    sp_buf_printf(&text,
                  "A message that you sent to\n\n    %s\n\nhas waited in the secure portal since "
                  "%.10s, and nobody has opened it. It can be read\nuntil %.10s. If it is urgent, "
                  "reach the recipient in another way.\n",
                  pkg->recipient, sent, until);
    rc = build(p, &n, &text, out);
    sp_buf_clear(&text);
    return rc;
}

/* ---- one after the other ---- */

/* The one at hand is done with, or put off: the next one, unless not even that could be written down. */
static void go_on(struct sp_portal *p, enum sp_rc rc)
{
    sp_free(p->due);
    p->due = NULL;
    if (rc != SP_OK)
        sp_log_warn(p->o.log, "portal.due-failed", SP_RC("why", rc));
    sp_timer_start(p->due_timer, rc == SP_OK ? LEAST_MS : AGAIN_MS);
}

static void put_off(struct sp_portal *p, enum sp_rc why)
{
    sp_log_warn(p->o.log, "portal.due-failed", SP_TEXT("package", p->due->package.id),
                SP_RC("why", why));
    go_on(p, sp_portal_due_later(p, p->due, sp_clock_wall_ms(p->o.clock) + AGAIN_MS));
}

/* What no trying again helps must not stand in the way of others. */
static void give_up(struct sp_portal *p, enum sp_rc why)
{
    if (sp_rc_info(why)->class != SP_CLASS_PERM) {
        put_off(p, why);
        return;
    }
    sp_log_error(p->o.log, "portal.due-dropped", SP_TEXT("package", p->due->package.id),
                 SP_RC("why", why));
    go_on(p, sp_portal_due_done(p, p->due));
}

static void on_recorded(void *arg, enum sp_rc rc)
{
    struct sp_portal *p = arg;

    if (rc == SP_OK)
        go_on(p, sp_portal_due_done(p, p->due));
    else
        put_off(p, rc); /* the mail is queued: the relay knows it again */
}

static void on_queued(void *arg, enum sp_rc rc)
{
    struct sp_portal *p = arg;
    struct sp_buf event;

    if (rc != SP_OK) {
        give_up(p, rc);
        return;
    }
    sp_buf_init(&event, 4096);
    sp_portal_record_reminded(&event, &p->due->package, p->due->is_word);
    p->o.ops.act(p->o.ops.ctx, sp_buf_bytes(&event), false, on_recorded, p);
    sp_buf_clear(&event);
}

static void send_due(struct sp_portal *p)
{
    const struct portal_package *pkg = &p->due->package;
    bool word = p->due->is_word;
    struct sp_portal_mail mail = {
        .kind = word ? SP_PORTAL_MAIL_WORD : SP_PORTAL_MAIL_NOTICE,
        .tenant = sp_bytes_cstr(pkg->tenant),
        .to = sp_bytes_cstr(word ? pkg->sender : pkg->recipient),
        .floor = sp_bytes_cstr(pkg->floor),
        .cause = pkg->message,
        .expires_at_ms = sp_clock_wall_ms(p->o.clock) + LIFE_MS,
        .done = on_queued,
        .arg = p,
    };
    struct sp_buf content, once;
    enum sp_rc rc;

    sp_buf_init(&content, MAIL_LEN_MAX);
    sp_buf_init(&once, ONCE_LEN_MAX);
    rc = word ? build_word(p, p->due, &content) : build_reminder(p, p->due, &content);
    sp_buf_printf(&once, "%s %s %lld", pkg->id, word ? "word" : "remind", (long long)p->due->at_ms);
    mail.content = sp_buf_bytes(&content);
    mail.once = sp_buf_bytes(&once);
    if (rc == SP_OK)
        p->o.ops.submit(p->o.ops.ctx, &mail);
    else
        give_up(p, rc);
    sp_buf_wipe(&content);
    sp_buf_clear(&once);
}

/* Whether it is still owed: to nobody who has opened it; a reminder of what can't be opened any more to nobody at all. */
static bool is_owed(const struct sp_portal *p, const struct portal_due *due)
{
    if (due->package.opens > 0)
        return false;
    return due->is_word ? due->package.sender[0] != 0 : sp_portal_is_live(p, &due->package);
}

void sp_portal_remind(void *arg)
{
    struct sp_portal *p = arg;
    struct portal_due *due;
    int64_t now_ms = sp_clock_wall_ms(p->o.clock), wait_ms;

    if (p->due != NULL)
        return;
    due = sp_calloc(1, sizeof(*due));
    if (sp_portal_next_due(p, due) != SP_OK) {
        sp_free(due);
        return;
    }
    if (due->next_ms > now_ms) {
        wait_ms = due->next_ms - now_ms;
        sp_timer_start(p->due_timer, wait_ms < AGAIN_MS ? wait_ms : AGAIN_MS);
        sp_free(due);
        return;
    }
    p->due = due;
    if (is_owed(p, due))
        send_due(p);
    else
        go_on(p, sp_portal_due_done(p, due));
}
