/*
 * The settings of one directory. Plain LDAP can't be asked for: what a directory says decides how mail is protected, so
 * whoever could change it on the way could take protection away. A list is made of a group or of a filter, never of both:
 * two lists and an "any" in the rule say the same, and each can be looked at by itself.
 */
#include "config/directory.h"

#include "config/table.h"

#define AT(member) offsetof(struct sp_directory, member)
#define SECOND     1000
#define MINUTE     (60 * SECOND)
#define DAY        ((int64_t)24 * 60 * MINUTE)
#define NAME_MAX_  100

static const char *const referrals[] = {"error", "ignore", NULL};

/* clang-format off */
static const struct sp_setting settings[] = {
    {"servers", SP_SETTING_TEXTS, AT(servers), 1, 0, NULL, NULL, SP_FORM_ANY,
     "where it is asked, tried in this order: `ldaps://HOST[:PORT]`, or `ldap://HOST[:PORT]`, which must offer StartTLS"},
    {"ca", SP_SETTING_TEXT, AT(ca), 0, 0, "", NULL, SP_FORM_PATH,
     "authorities that its certificate must come from; empty: the system's"},
    {"bind_dn", SP_SETTING_TEXT, AT(bind_dn), 0, 0, "", NULL, SP_FORM_ANY,
     "whom to log in as, an account that may only read; empty: nobody"},
    {"password", SP_SETTING_TEXT, AT(password), 0, 0, "", NULL, SP_FORM_PATH,
     "file with its password, or `credential:NAME`"},
    {"base", SP_SETTING_TEXT, AT(base), 0, 0, "", NULL, SP_FORM_ANY,
     "where filters search, a DN and all below it"},
    {"addresses", SP_SETTING_TEXTS, AT(addresses), 0, 0, "", NULL, SP_FORM_NAME,
     "attributes that hold a person's addresses, `smtp:` before one is taken off and other kinds are left out; none: `mail`, `proxyAddresses`"},
    {"members", SP_SETTING_TEXTS, AT(members), 0, 0, "", NULL, SP_FORM_NAME,
     "attributes that hold the DNs of a group's members; none: `member`, `uniqueMember`"},
    {"referrals", SP_SETTING_CHOICE, AT(referrals), 0, 0, "error", referrals, SP_FORM_ANY,
     "if a part of what a filter searches stands on another server: `error`, the list stays as it is; `ignore`, that part is left out, as is right for the root of an Active Directory, which always names its parts for DNS and configuration"},
    {"depth", SP_SETTING_INT, AT(depth), 0, 32, "8", NULL, SP_FORM_ANY,
     "how deep groups may stand in groups; a deeper one is an error"},
    {"page", SP_SETTING_INT, AT(page), 1, 10000, "500", NULL, SP_FORM_ANY,
     "entries in one page of a search (RFC 2696)"},
    {"timeout", SP_SETTING_DURATION, AT(timeout_ms), SECOND, 10 * MINUTE, "20s", NULL, SP_FORM_ANY,
     "how long to wait for one answer"},
    {"deadline", SP_SETTING_DURATION, AT(deadline_ms), SECOND, DAY, "10m", NULL, SP_FORM_ANY,
     "how long all of a refresh may take"},
    {"max_age", SP_SETTING_DURATION, AT(max_age_ms), MINUTE, 365 * DAY, "3d", NULL, SP_FORM_ANY,
     "a list that was not refreshed for so long is told of (`directory.stale`), and stays in use"},
};

static const struct sp_setting list_settings[] = {
    {"name", SP_SETTING_TEXT, offsetof(struct sp_directory_list, name), 0, 0, NULL, NULL, SP_FORM_NAME,
     "of the list: the file lists/NAME.txt beside the policy"},
    {"group", SP_SETTING_TEXT, offsetof(struct sp_directory_list, group), 0, 0, "", NULL, SP_FORM_ANY,
     "DN of a group: its members, and those of groups in it"},
    {"filter", SP_SETTING_TEXT, offsetof(struct sp_directory_list, filter), 0, 0, "", NULL, SP_FORM_ANY,
     "or whoever this finds below `base` (RFC 4515), as `(department=Cardiology)`"},
};

static const struct sp_setting_list lists[] = {
    {"lists", AT(lists), AT(list_count), sizeof(struct sp_directory_list), list_settings,
     SP_ARRAY_LEN(list_settings), 1, false, "Lists of addresses that are made of it."},
};
/* clang-format on */

static const struct sp_setting_table table = {
    "directories/NAME.json", settings, SP_ARRAY_LEN(settings), lists, SP_ARRAY_LEN(lists),
};

bool sp_directory_is_list_name(struct sp_bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!sp_ascii_is_digit(name.ptr[i]) && name.ptr[i] != '-' &&
            (name.ptr[i] < 'a' || name.ptr[i] > 'z'))
            return false;
    return name.len > 0 && name.len <= NAME_MAX_;
}

static bool is_server(struct sp_bytes url)
{
    size_t scheme = sp_bytes_starts_nocase(url, SP_LIT("ldaps://"))  ? 8
                    : sp_bytes_starts_nocase(url, SP_LIT("ldap://")) ? 7
                                                                     : 0;

    for (size_t i = scheme; i < url.len; i++)
        if (url.ptr[i] <= ' ' || url.ptr[i] == '/' || url.ptr[i] == '?' || url.ptr[i] >= 0x7f)
            return false;
    return scheme > 0 && url.len > scheme;
}

static void check_list(const struct sp_directory *d, size_t i, const struct sp_json *at,
                       struct sp_problems *problems)
{
    const struct sp_directory_list *l = &d->lists[i];

    if (!sp_directory_is_list_name(sp_bytes_cstr(l->name)))
        sp_problem(problems, at, SP_E_CONFIG_INVALID,
                   "a list's name is made of a to z, 0 to 9 and hyphens, %d at most", NAME_MAX_);
    for (size_t k = 0; k < i; k++)
        if (strcmp(d->lists[k].name, l->name) == 0)
            sp_problem(problems, at, SP_E_CONFIG_INVALID, "the list \"%s\" is there already",
                       l->name);
    if ((l->group[0] != 0) == (l->filter[0] != 0))
        sp_problem(problems, at, SP_E_CONFIG_MISSING, "expected either \"group\" or \"filter\"");
    if (l->filter[0] != 0 && d->base[0] == 0)
        sp_problem(problems, at, SP_E_CONFIG_MISSING, "a filter needs \"base\", where it searches");
}

static void check_together(const struct sp_directory *d, const struct sp_json *root,
                           struct sp_problems *problems)
{
    const struct sp_json *at;

    for (size_t i = 0; i < d->servers.count; i++)
        if (!is_server(sp_bytes_cstr(d->servers.items[i])))
            sp_problem(problems, sp_json_find(root, "servers"), SP_E_CONFIG_INVALID,
                       "expected ldaps://HOST, or ldap://HOST for StartTLS");
    if ((d->bind_dn[0] != 0) != (d->password[0] != 0))
        sp_problem(problems, root, SP_E_CONFIG_MISSING,
                   "bind_dn and password are given both or not at all");
    at = sp_json_find(root, "lists");
    at = at == NULL ? NULL : at->first;
    for (size_t i = 0; at != NULL && i < d->list_count; i++, at = at->next)
        check_list(d, i, at, problems);
}

static void put_default(struct sp_directory *d, struct sp_config_texts *texts, const char *first,
                        const char *second)
{
    if (texts->count > 0)
        return;
    texts->items = sp_arena_alloc(d->arena, 2 * sizeof(char *));
    texts->items[0] = first;
    texts->items[1] = second;
    texts->count = 2;
}

enum sp_rc sp_directory_load(struct sp_bytes text, const char *file, struct sp_problems *problems,
                             struct sp_directory **out)
{
    const struct sp_json_options options = {.comments = true, .file = file};
    SP_AUTO(sp_json_doc) doc = NULL;
    SP_AUTO(sp_directory) d = NULL;
    size_t before = sp_problems_errors(problems);
    struct sp_err err;
    enum sp_rc rc = sp_json_parse(text, &options, &doc, &err);

    if (rc != SP_OK)
        return sp_problem_file(problems, "", 0, rc, "%s", err.text);
    d = sp_calloc(1, sizeof(*d));
    d->arena = sp_arena_new(1024);
    sp_config_table_read(&table, sp_json_root(doc), d, d->arena, problems);
    if (sp_problems_errors(problems) == before)
        check_together(d, sp_json_root(doc), problems);
    if (sp_problems_errors(problems) > before)
        return sp_problems_rc(problems, NULL);
    put_default(d, &d->addresses, "mail", "proxyAddresses");
    put_default(d, &d->members, "member", "uniqueMember");
    *out = SP_STEAL(d);
    return SP_OK;
}

void sp_directory_free(struct sp_directory *d)
{
    if (d == NULL)
        return;
    sp_arena_free(d->arena);
    sp_free(d);
}

void sp_directory_reference(struct sp_buf *out)
{
    sp_config_table_reference(&table, out);
}

void sp_directory_list_settings(struct sp_jw *w)
{
    sp_config_table_list(&table, w);
}
