/*
 * What becomes due of a package: reminders to the recipient and a word to the sender while nobody opens it, and the report
 * that the sender wants of its end (report.c). The times are rows, made with the package; one is done when the mail is in
 * the queue and the audit has it, and only then the row goes, so that a crash makes a second mail at worst (and not even
 * that, while the relay remembers the first; of a report not once the relay's answer is written down). That a relay is
 * asked is written down before: who asks again says so, and the audit marks the second mail. One that can't be made now lets the others pass and is tried again; one that can never be made is dropped, and told. A package that was
 * opened, or is gone, owes nobody a reminder. No mail holds a word of the message.
 */
#include "portal/report_priv.h"

#include "jobs/deposit.h"
#include "mail/compose.h"

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
    go_on(p, sp_portal_due_later(p, p->due, sp_portal_sure_ms(p) + AGAIN_MS));
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

static void record_sent(struct sp_portal *p, const struct sp_id *id)
{
    const struct portal_due *due = p->due;
    struct sp_buf event;

    sp_buf_init(&event, 4096);
    if (due->kind == PORTAL_DUE_REPORT)
        sp_portal_record_report(&event, &due->package, id, due->why);
    else
        sp_portal_record_reminded(&event, &due->package, due->kind == PORTAL_DUE_WORD);
    p->o.ops.act(p->o.ops.ctx, sp_buf_bytes(&event), false, on_recorded, p);
    sp_buf_clear(&event);
}

static void on_queued(void *arg, enum sp_rc rc, const struct sp_id *id)
{
    struct sp_portal *p = arg;

    if (rc == SP_OK && p->due->kind == PORTAL_DUE_REPORT) {
        rc = sp_portal_report_queued(p, p->due->package.id, id);
        if (rc != SP_OK) {
            put_off(p, rc); /* the relay knows it again */
            return;
        }
    }
    if (rc == SP_OK)
        record_sent(p, id);
    else
        give_up(p, rc);
}

static const struct {
    const char *name;
    enum sp_portal_mail_kind mail;
} kinds[] = {
    [PORTAL_DUE_REMINDER] = {"remind", SP_PORTAL_MAIL_NOTICE},
    [PORTAL_DUE_WORD] = {"word", SP_PORTAL_MAIL_WORD},
    [PORTAL_DUE_REPORT] = {"report", SP_PORTAL_MAIL_REPORT},
};

static enum sp_rc build_due(struct sp_portal *p, const struct portal_due *due,
                            struct portal_report *report, struct sp_buf *content)
{
    switch (due->kind) {
    case PORTAL_DUE_REPORT:
        return sp_portal_report_build(p, &due->package, report, content);
    case PORTAL_DUE_WORD:
        return build_word(p, due, content);
    default:
        return build_reminder(p, due, content);
    }
}

/* report: of PORTAL_DUE_REPORT */
static void send_due(struct sp_portal *p, struct portal_report *report)
{
    const struct portal_package *pkg = &p->due->package;
    bool reminds = p->due->kind == PORTAL_DUE_REMINDER;
    struct sp_portal_mail mail = {
        .kind = kinds[p->due->kind].mail,
        .tenant = sp_bytes_cstr(pkg->tenant),
        .to = sp_bytes_cstr(reminds ? pkg->recipient : pkg->sender),
        .floor = sp_bytes_cstr(pkg->floor),
        .cause = pkg->message,
        .expires_at_ms = sp_clock_wall_ms(p->o.clock) + LIFE_MS,
        .requires_tls = report != NULL && (report->wants & SP_JOBS_DEPOSIT_TELL_TLS) != 0,
        .again = p->due->asked,
        .done = on_queued,
        .arg = p,
    };
    struct sp_buf content, once;
    enum sp_rc rc;

    sp_buf_init(&content, MAIL_LEN_MAX);
    sp_buf_init(&once, ONCE_LEN_MAX);
    rc = build_due(p, p->due, report, &content);
    sp_buf_printf(&once, "%s %s %lld", pkg->id, kinds[p->due->kind].name, (long long)p->due->at_ms);
    mail.content = sp_buf_bytes(&content);
    mail.once = sp_buf_bytes(&once);
    if (rc == SP_OK && !mail.again)
        rc = sp_portal_due_asked(p, p->due);
    if (rc == SP_OK)
        p->o.ops.submit(p->o.ops.ctx, &mail);
    else
        give_up(p, rc);
    sp_buf_wipe(&content);
    sp_buf_clear(&once);
}

static void send_report(struct sp_portal *p)
{
    struct portal_report report;
    enum sp_rc rc = sp_portal_report_find(p, p->due->package.id, &report);

    if (rc == SP_OK)
        p->due->why = sp_portal_report_why(&p->due->package, &report);
    if (rc != SP_OK)
        put_off(p, rc);
    else if (report.is_queued) /* before the portal was started */
        record_sent(p, &report.dsn);
    else
        send_due(p, &report);
    sp_portal_report_clear(&report);
}

/* Whether it is still owed. A reminder: to nobody who has opened the package, and of none that can't be opened any more. A
 * word: not where the report says the same. */
static bool is_owed(struct sp_portal *p, const struct portal_due *due)
{
    const struct portal_package *pkg = &due->package;

    switch (due->kind) {
    case PORTAL_DUE_REPORT:
        return sp_portal_report_is_owed(p, pkg);
    case PORTAL_DUE_WORD:
        return pkg->opens == 0 && pkg->sender[0] != 0 && !sp_portal_report_is_owed(p, pkg);
    default:
        return pkg->opens == 0 && sp_portal_is_live(p, pkg);
    }
}

void sp_portal_remind(void *arg)
{
    struct sp_portal *p = arg;
    struct portal_due *due;
    int64_t now_ms = sp_portal_sure_ms(p), wait_ms;

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
    if (!is_owed(p, due))
        go_on(p, sp_portal_due_done(p, due));
    else if (due->kind == PORTAL_DUE_REPORT)
        send_report(p);
    else
        send_due(p, NULL);
}
