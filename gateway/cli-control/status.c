/*
 * `sallyport status`: each relay with its numbers, which configuration runs if that is not the newest, and the age of each
 * list that a directory keeps; and what of all that is wrong (wrong.c). The ages are those of the configuration's files, which no
 * role has.
 */
#include "gateway/cli-control/control.h"
#include "gateway/cli-control/progress.h"
#include "gateway/cli-control/wrong.h"

#include "config/config.h"
#include "config/directory.h"

#include <stdio.h>
#include <time.h>

#define QUESTION_MAX 8192
#define HOUR_MS      ((int64_t)3600 * 1000)
#define SETTLE_MS    2000 /* a reload needs some 100 for its roles to be ready again */
#define LOOK_MS      100

static void ask(const struct control *c, struct sp_buf *question, struct sp_jw *w,
                struct control_answer *answer)
{
    sp_jw_end(w);
    control_ask(c, sp_buf_bytes(question), answer);
    sp_buf_clear(question);
}

static void begin(struct sp_buf *question, struct sp_jw *w, const char *command)
{
    sp_buf_init(question, QUESTION_MAX);
    sp_jw_init(w, question);
    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "command", command);
}

/* ---- status ---- */

/* Numbers of a relay behind its own and what it accepts. */
static const struct {
    const char *head, *member;
} columns[] = {
    {"MESSAGES", "messages"},       {"PENDING", "pending"},         {"HELD", "held"},
    {"IN DELIVERY", "in_delivery"}, {"QUARANTINED", "quarantined"}, {"SESSIONS", "sessions_now"},
    {"SLOWED", "slowed"},           {"MEMORY", "memory"},           {"SYNCS", "syncs"},
};

static void add_relay(struct table *t, const struct sp_json *relay)
{
    const struct sp_json *says = sp_json_find(relay, "says");
    struct sp_bytes cells[SP_ARRAY_LEN(columns) + 2];
    char texts[SP_ARRAY_LEN(columns)][24], number[24];

    (void)snprintf(number, sizeof(number), "%lld", (long long)sp_json_int_of(relay, "relay", -1));
    cells[0] = sp_bytes_cstr(number);
    cells[1] = says == NULL ? sp_json_text_of(relay, "error") : sp_json_text_of(says, "accepts");
    for (size_t i = 0; i < SP_ARRAY_LEN(columns); i++) {
        const char *member = columns[i].member;

        (void)snprintf(texts[i], sizeof(texts[i]), "%lld",
                       (long long)sp_json_int_of(says, member, 0));
        cells[2 + i] = sp_json_find(says, member) == NULL ? SP_LIT("-") : sp_bytes_cstr(texts[i]);
    }
    table_add(t, cells);
}

static void print_relays(const struct sp_json *result)
{
    const struct sp_json *list = sp_json_find(result, "relays");
    const char *heads[SP_ARRAY_LEN(columns) + 2] = {"RELAY", "ACCEPTS"};
    int64_t quarantined = 0;
    struct table *t;

    for (size_t i = 0; i < SP_ARRAY_LEN(columns); i++)
        heads[2 + i] = columns[i].head;
    t = table_new(heads, SP_ARRAY_LEN(heads));
    for (const struct sp_json *r = list == NULL ? NULL : list->first; r != NULL; r = r->next) {
        add_relay(t, r);
        quarantined += sp_json_int_of(sp_json_find(r, "says"), "quarantined", 0);
    }
    table_print(t);
    table_free(t);
    if (quarantined > 0)
        (void)printf("\n%lld quarantined: can't be read, and no disk space comes back behind it. "
                     "`sallyport queue check` says what it is, `sallyport queue delete ID --reason "
                     "TEXT` gives it up\n",
                     (long long)quarantined);
}

/* ---- lists of directories ---- */

struct ages {
    struct table *table;
    struct sp_jw *w; /* instead of the table */
    struct control_wrong *wrong;
    size_t count;
};

static void on_age(void *arg, const struct sp_directory_age *age)
{
    struct ages *a = arg;
    struct sp_bytes cells[4] = {sp_bytes_cstr(age->list), sp_bytes_cstr(age->directory)};
    char text[40];

    a->count++;
    if (age->is_stale)
        control_wrong_list(a->wrong, age->list, age->directory);
    if (a->w != NULL) {
        sp_jw_object(a->w, NULL);
        sp_jw_cstr(a->w, "list", age->list);
        sp_jw_cstr(a->w, "directory", age->directory);
        sp_jw_int(a->w, "age_ms", age->age_ms);
        sp_jw_bool(a->w, "stale", age->is_stale);
        sp_jw_end(a->w);
        return;
    }
    (void)snprintf(text, sizeof(text), "%lldh", (long long)(age->age_ms / HOUR_MS));
    cells[2] = age->age_ms < 0 ? SP_LIT("never loaded") : sp_bytes_cstr(text);
    cells[3] = age->is_stale ? SP_LIT("yes") : SP_LIT("no");
    table_add(a->table, cells);
}

/* A gateway that was named by its socket alone has no files here. */
static void look_at_ages(const struct control *c, struct ages *a)
{
    SP_AUTO(sp_problems) ignored = sp_problems_new();
    const char *slash = strrchr(c->config, '/');
    SP_AUTO(sp_config) config = NULL;
    struct timespec now;
    char folder[4096];

    if (c->socket != NULL || control_settings(c, &config) != CONTROL_OK)
        return;
    (void)snprintf(folder, sizeof(folder), "%.*s",
                   slash == NULL || slash == c->config ? 1 : (int)(slash - c->config),
                   slash == NULL ? "." : c->config);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    sp_directory_ages(folder, config->policy, (int64_t)now.tv_sec * 1000, ignored, on_age, a);
}

static void print_ages(const struct control *c, struct control_wrong *wrong)
{
    static const char *const heads[] = {"LIST", "DIRECTORY", "REFRESHED", "TOO OLD"};
    struct ages a = {.table = table_new(heads, SP_ARRAY_LEN(heads)), .wrong = wrong};

    look_at_ages(c, &a);
    if (a.count > 0) {
        (void)printf("\n");
        table_print(a.table);
    }
    table_free(a.table);
}

/* ---- which configuration ---- */

static void ask_state(const struct control *c, struct control_answer *answer)
{
    struct control quiet = *c;
    struct sp_buf question;
    struct sp_jw w;

    quiet.mute = quiet.quiet = true; /* one that is of another version may not know */
    begin(&question, &w, "gateway.state");
    ask(&quiet, &question, &w, answer);
}

static void print_others(const struct sp_json *state)
{
    const struct sp_json *roles = sp_json_find(state, "roles");
    int64_t now = sp_json_int_of(state, "generation", 0);

    for (const struct sp_json *r = roles == NULL ? NULL : roles->first; r != NULL; r = r->next) {
        int64_t has = sp_json_int_of(r, "generation", 0);

        if (has != now && has != 0)
            (void)printf("  %.*s %lld runs configuration %lld\n",
                         SP_FMT(sp_json_text_of(r, "role")),
                         (long long)sp_json_int_of(r, "index", 0), (long long)has);
    }
}

static bool is_of_database(const struct sp_json *refused)
{
    return sp_bytes_eq(sp_json_text_of(refused, "what"), SP_LIT("database"));
}

static void print_database(const struct sp_json *refused)
{
    (void)printf(
        "\n%.*s %lld can't open its database since %.*s (%.*s):\n  %.*s\n"
        "The others go on without it. Stop the gateway, and put the file of the newest "
        "backup in its place,\nor move it away (docs/operations.md, A damaged database).\n",
        SP_FMT(sp_json_text_of(refused, "role")), (long long)sp_json_int_of(refused, "index", 0),
        SP_FMT(sp_json_text_of(refused, "at")), SP_FMT(sp_json_text_of(refused, "why")),
        SP_FMT(sp_json_text_of(refused, "detail")));
}

static void print_refusal(const struct sp_json *refused)
{
    struct sp_bytes what = sp_json_text_of(refused, "what");
    const char *subject = sp_bytes_eq(what, SP_LIT("certificates")) ? "The renewal of certificates"
                          : sp_bytes_eq(what, SP_LIT("tickets"))    ? "A new key of session tickets"
                                                                 : "The configuration on the disk";

    (void)printf("\n%s was refused at %.*s by %.*s %lld (%.*s):\n  %.*s\n", subject,
                 SP_FMT(sp_json_text_of(refused, "at")), SP_FMT(sp_json_text_of(refused, "role")),
                 (long long)sp_json_int_of(refused, "index", 0),
                 SP_FMT(sp_json_text_of(refused, "why")),
                 SP_FMT(sp_json_text_of(refused, "detail")));
}

/* Nothing if all is as it should be. */
static void print_state(const struct sp_json *state)
{
    const struct sp_json *refused = sp_json_find(state, "refused");
    bool has_refusal = false;

    for (const struct sp_json *r = refused == NULL ? NULL : refused->first; r != NULL;
         r = r->next) {
        if (is_of_database(r))
            print_database(r);
        else
            print_refusal(r);
        has_refusal |= !is_of_database(r);
    }
    if (!has_refusal)
        return;
    (void)printf("Number %lld runs; mend the files and reload.\n",
                 (long long)sp_json_int_of(state, "generation", 0));
    print_others(state);
}

static void put_value(struct sp_jw *w, const char *key, const struct sp_json *value)
{
    struct sp_buf text;

    sp_buf_init(&text, CONTROL_LINE_MAX);
    if (value != NULL && sp_json_canonical(value, &text) == SP_OK)
        sp_jw_raw(w, key, sp_buf_bytes(&text));
    sp_buf_clear(&text);
}

static void print_json(const struct control *c, const struct sp_json *relays,
                       const struct sp_json *state, struct control_wrong *wrong)
{
    struct sp_buf out;
    struct sp_jw w;
    struct ages a = {.w = &w, .wrong = wrong};

    sp_buf_init(&out, CONTROL_LINE_MAX);
    sp_jw_init(&w, &out);
    sp_jw_object(&w, NULL);
    put_value(&w, "configuration", state);
    sp_jw_array(&w, "lists");
    look_at_ages(c, &a);
    sp_jw_end(&w);
    put_value(&w, "relays", relays);
    sp_jw_raw(&w, "wrong", control_wrong_end(wrong));
    sp_jw_end(&w);
    (void)printf("%.*s\n", SP_FMT(sp_buf_bytes(&out)));
    sp_buf_clear(&out);
}

/* ---- one look ---- */

struct look {
    struct control_answer relays, state, ledger;
    struct control_wrong wrong;
};

/* Mail is taken while it hangs, and is on record in the journals; nobody can read that in the audit, and no act can be put there. Who
 * is not ready is told by the supervisor, and not waited for. */
static void look_at_ledger(const struct control *c, struct look *l)
{
    struct control quiet = *c;
    struct sp_buf question;
    struct sp_jw w;

    if (!control_is_ready(l->state.result, "ledger"))
        return;
    quiet.mute = quiet.quiet = true;
    begin(&question, &w, "audit.status");
    sp_jw_bool(&w, "soon", true);
    ask(&quiet, &question, &w, &l->ledger);
    if (l->ledger.code == CONTROL_UNKNOWN)
        control_wrong_silent(&l->wrong, "ledger", "the ledger did not answer");
}

static void look_clear(struct look *l)
{
    control_wrong_clear(&l->wrong);
    control_answer_clear(&l->ledger);
    control_answer_clear(&l->state);
    control_answer_clear(&l->relays);
}

/* returns: whether there is something to tell; else the answer's code is all. To clear in either case. */
static bool look(const struct control *c, struct look *l)
{
    struct sp_buf question;
    struct sp_jw w;

    *l = (struct look){.relays.fd = -1, .state.fd = -1, .ledger.fd = -1};
    control_wrong_init(&l->wrong);
    begin(&question, &w, "queue.stats");
    ask(c, &question, &w, &l->relays);
    if (l->relays.code != CONTROL_OK)
        return false;
    ask_state(c, &l->state);
    control_wrong_relays(&l->wrong, l->relays.result);
    if (l->state.code == CONTROL_ABSENT || l->state.code == CONTROL_UNKNOWN)
        control_wrong_silent(&l->wrong, "admin", "nobody said which configuration runs");
    else
        control_wrong_state(&l->wrong, l->state.result, l->relays.result);
    look_at_ledger(c, l);
    return true;
}

/* returns: the exit code */
static int tell(const struct control *c, struct look *l)
{
    const struct sp_json *relays = l->relays.result;

    if (c->json) {
        print_json(c, sp_json_find(relays, "relays"), l->state.result, &l->wrong);
    } else {
        print_relays(relays);
        print_state(l->state.result);
        print_ages(c, &l->wrong);
    }
    return control_wrong_say(&l->wrong, c);
}

/* Who reads its configuration anew, or has just been started, is ready in a moment: asked again before anybody is woken. A relay
 * that hangs has been waited for longer than that by the admin role, once. */
int control_status(const struct control *c)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    int64_t until = control_now_ms() + SETTLE_MS;
    struct look l;
    bool has_told;
    int code;

    while ((has_told = look(c, &l)) && l.wrong.code == CONTROL_UNKNOWN &&
           control_now_ms() < until) {
        look_clear(&l);
        (void)nanosleep(&pause, NULL);
    }
    code = has_told ? tell(c, &l) : l.relays.code;
    look_clear(&l);
    return code;
}
