/*
 * What of a status is wrong, so that whoever watches need not know what each figure should be. What stays until somebody acts
 * is one exit code; what may be over at the next look (who hangs, or is just starting) is another. An order to drain was given by
 * somebody and is not wrong.
 */
#include "gateway/cli-control/wrong.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT_MAX  ((size_t)1 << 20)
#define SILENT_MS 10000 /* of the supervisor, who shows that it lives each second */

void control_wrong_init(struct control_wrong *wrong)
{
    *wrong = (struct control_wrong){.code = CONTROL_OK};
    sp_buf_init(&wrong->text, TEXT_MAX);
    sp_jw_init(&wrong->w, &wrong->text);
    sp_jw_array(&wrong->w, NULL);
}

void control_wrong_clear(struct control_wrong *wrong)
{
    sp_buf_clear(&wrong->text);
}

static void note(struct control_wrong *wrong, int code, const char *what, const char *format, ...)
    SP_PRINTF(4, 5);

/* Begins one, which the caller ends behind telling where it is. */
static void note(struct control_wrong *wrong, int code, const char *what, const char *format, ...)
{
    char detail[2048];
    va_list values;

    va_start(values, format);
    (void)vsnprintf(detail, sizeof(detail), format, values);
    va_end(values);
    if (wrong->code != CONTROL_UNKNOWN)
        wrong->code = code;
    sp_jw_object(&wrong->w, NULL);
    sp_jw_cstr(&wrong->w, "what", what);
    sp_jw_cstr(&wrong->w, "detail", detail);
    sp_jw_int(&wrong->w, "exit", code);
}

static const struct sp_json *first_of(const struct sp_json *value, const char *key)
{
    const struct sp_json *list = sp_json_find(value, key);

    return list == NULL ? NULL : list->first;
}

static void look_at_relay(struct control_wrong *wrong, const struct sp_json *relay)
{
    const struct sp_json *says = sp_json_find(relay, "says");
    struct sp_bytes accepts = sp_json_text_of(says, "accepts");
    int64_t number = sp_json_int_of(relay, "relay", -1);
    int64_t damaged = sp_json_int_of(says, "quarantined", 0);

    if (says == NULL && sp_json_bool_of(relay, "silent", false)) {
        note(wrong, CONTROL_UNKNOWN, "silent", "relay %lld did not answer", (long long)number);
        sp_jw_int(&wrong->w, "relay", number);
        sp_jw_end(&wrong->w);
    } else if (says == NULL) {
        note(wrong, CONTROL_REFUSED, "refuses", "relay %lld takes no mail: %.*s: %.*s",
             (long long)number, SP_FMT(sp_json_text_of(relay, "error")),
             SP_FMT(sp_json_text_of(relay, "detail")));
        sp_jw_int(&wrong->w, "relay", number);
        sp_jw_end(&wrong->w);
    } else if (sp_bytes_eq(accepts, sp_bytes_cstr(sp_rc_name(SP_E_ROLE_GONE)))) {
        note(wrong, CONTROL_UNKNOWN, "refuses",
             "relay %lld takes no mail: %.*s: the ledger has not told it what recipients chose",
             (long long)number, SP_FMT(accepts));
        sp_jw_int(&wrong->w, "relay", number);
        sp_jw_end(&wrong->w);
    } else if (!sp_bytes_eq(accepts, SP_LIT("yes")) && !sp_bytes_eq(accepts, SP_LIT("draining"))) {
        note(wrong, CONTROL_REFUSED, "refuses", "relay %lld takes no mail: %.*s", (long long)number,
             SP_FMT(accepts));
        sp_jw_int(&wrong->w, "relay", number);
        sp_jw_end(&wrong->w);
    }
    if (damaged > 0) {
        note(wrong, CONTROL_REFUSED, "quarantined", "relay %lld has %lld damaged message%s",
             (long long)number, (long long)damaged, damaged == 1 ? "" : "s");
        sp_jw_int(&wrong->w, "relay", number);
        sp_jw_end(&wrong->w);
    }
}

void control_wrong_relays(struct control_wrong *wrong, const struct sp_json *result)
{
    for (const struct sp_json *r = first_of(result, "relays"); r != NULL; r = r->next)
        look_at_relay(wrong, r);
}

/* Whether a relay's own answer has told already that it gives none. */
static bool is_told(const struct sp_json *result, int64_t number)
{
    for (const struct sp_json *r = first_of(result, "relays"); r != NULL; r = r->next)
        if (sp_json_int_of(r, "relay", -1) == number)
            return sp_json_find(r, "says") == NULL;
    return false;
}

static void look_at_role(struct control_wrong *wrong, const struct sp_json *role,
                         const struct sp_json *result)
{
    struct sp_bytes name = sp_json_text_of(role, "role"), state = sp_json_text_of(role, "state");
    int64_t index = sp_json_int_of(role, "index", 0);

    if (sp_bytes_eq(state, SP_LIT("ready")) || sp_bytes_eq(state, SP_LIT("ending")) ||
        (sp_bytes_eq(name, SP_LIT("relay")) && is_told(result, index)))
        return;
    note(wrong, CONTROL_UNKNOWN, "role", "%.*s %lld is %.*s", SP_FMT(name), (long long)index,
         SP_FMT(state));
    sp_jw_text(&wrong->w, "role", name);
    sp_jw_int(&wrong->w, "index", index);
    sp_jw_end(&wrong->w);
}

void control_wrong_silent(struct control_wrong *wrong, const char *role, const char *detail)
{
    note(wrong, CONTROL_UNKNOWN, "silent", "%s", detail);
    sp_jw_cstr(&wrong->w, "role", role);
    sp_jw_int(&wrong->w, "index", 0);
    sp_jw_end(&wrong->w);
}

void control_wrong_state(struct control_wrong *wrong, const struct sp_json *state,
                         const struct sp_json *result)
{
    if (sp_json_int_of(state, "silent_ms", 0) > SILENT_MS)
        control_wrong_silent(
            wrong, "supervisor",
            "the supervisor hangs: who ends is not started anew, nothing is reloaded");
    for (const struct sp_json *r = first_of(state, "refused"); r != NULL; r = r->next) {
        struct sp_bytes what = sp_json_text_of(r, "what"), role = sp_json_text_of(r, "role");
        char name[64];

        (void)snprintf(name, sizeof(name), "%.*s", SP_FMT(what));
        if (sp_bytes_eq(what, SP_LIT("database")))
            note(wrong, CONTROL_REFUSED, name, "%.*s %lld can't open its database: %.*s",
                 SP_FMT(role), (long long)sp_json_int_of(r, "index", 0),
                 SP_FMT(sp_json_text_of(r, "detail")));
        else
            note(wrong, CONTROL_REFUSED, name, "%.*s %lld refused the %.*s at %.*s: %.*s",
                 SP_FMT(role), (long long)sp_json_int_of(r, "index", 0),
                 SP_FMT(sp_bytes_eq(what, SP_LIT("configuration"))
                            ? SP_LIT("configuration on the disk")
                            : what),
                 SP_FMT(sp_json_text_of(r, "at")), SP_FMT(sp_json_text_of(r, "why")));
        sp_jw_text(&wrong->w, "role", role);
        sp_jw_int(&wrong->w, "index", sp_json_int_of(r, "index", 0));
        sp_jw_end(&wrong->w);
    }
    for (const struct sp_json *r = first_of(state, "roles"); r != NULL; r = r->next)
        look_at_role(wrong, r, result);
}

bool control_is_ready(const struct sp_json *state, const char *role)
{
    for (const struct sp_json *r = first_of(state, "roles"); r != NULL; r = r->next)
        if (sp_bytes_eq(sp_json_text_of(r, "role"), sp_bytes_cstr(role)))
            return sp_bytes_eq(sp_json_text_of(r, "state"), SP_LIT("ready"));
    return false;
}

void control_wrong_list(struct control_wrong *wrong, const char *list, const char *directory)
{
    note(wrong, CONTROL_REFUSED, "list", "the list %s of the directory %s is too old", list,
         directory);
    sp_jw_cstr(&wrong->w, "list", list);
    sp_jw_cstr(&wrong->w, "directory", directory);
    sp_jw_end(&wrong->w);
}

struct sp_bytes control_wrong_end(struct control_wrong *wrong)
{
    if (!wrong->is_ended)
        sp_jw_end(&wrong->w);
    wrong->is_ended = true;
    return sp_buf_bytes(&wrong->text);
}

int control_wrong_say(struct control_wrong *wrong, const struct control *c)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_err err;

    (void)fflush(stdout); /* the tables first */
    if (sp_json_parse(control_wrong_end(wrong), NULL, &doc, &err) != SP_OK)
        return wrong->code;
    for (const struct sp_json *one = sp_json_root(doc)->first; one != NULL; one = one->next) {
        char what[64];

        (void)snprintf(what, sizeof(what), "%.*s", SP_FMT(sp_json_text_of(one, "what")));
        (void)control_say(c, (int)sp_json_int_of(one, "exit", CONTROL_REFUSED), what, "%.*s",
                          SP_FMT(sp_json_text_of(one, "detail")));
    }
    return wrong->code;
}
