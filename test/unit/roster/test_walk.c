/*
 * Groups in groups: circles, depth, members that are not there, large groups in parts, and answers that are not whole. The
 * directory is a table of entries.
 */
#include "roster/walk.h"
#include "support/check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    const char *dn, *attribute, *value;
};

struct fake {
    const struct row *rows;
    size_t count;
    size_t asked;    /* entries */
    size_t part_len; /* members in one answer; 0: all */
    size_t answers;  /* how often an entry is given; 0: once */
    enum sp_rc fails;
};

static enum sp_rc give(const struct fake *f, const char *dn, size_t index,
                       const struct sp_roster_question *q)
{
    const char *asked = q->attributes[0];
    struct sp_roster_value values[64];
    struct sp_roster_entry e = {.dn = sp_bytes_cstr(dn), .values = values};
    unsigned from = 0, at = 0;
    char name[40];
    bool found = false;

    if (strstr(asked, ";range=") != NULL)
        from = (unsigned)strtoul(strstr(asked, "=") + 1, NULL, 10);
    for (size_t i = 0; i < f->count; i++) {
        bool is_member = strcmp(f->rows[i].attribute, "member") == 0;

        if (strcasecmp(f->rows[i].dn, dn) != 0)
            continue;
        found = true;
        if (is_member && f->part_len > 0 && (at++ < from || at > from + f->part_len))
            continue;
        if (!is_member && from > 0)
            continue;
        values[e.count++] = (struct sp_roster_value){sp_bytes_cstr(f->rows[i].attribute),
                                                     sp_bytes_cstr(f->rows[i].value)};
    }
    if (at > 0) { /* Active Directory's way */
        if (at > from + f->part_len)
            snprintf(name, sizeof(name), "member;range=%u-%u", from,
                     from + (unsigned)f->part_len - 1);
        else
            snprintf(name, sizeof(name), "member;range=%u-*", from);
        for (size_t i = 0; i < e.count; i++)
            if (sp_bytes_eq(values[i].attribute, SP_LIT("member")))
                values[i].attribute = sp_bytes_cstr(name);
    }
    return found ? q->fn(q->arg, index, &e) : SP_OK;
}

static enum sp_rc fake_ask(void *ctx, const struct sp_roster_question *q, struct sp_err *err)
{
    struct fake *f = ctx;
    enum sp_rc rc = SP_OK;

    ck_assert_uint_le(q->count, SP_ROSTER_BATCH_MAX);
    for (size_t i = 0; q->filter == NULL && i < q->count && rc == SP_OK; i++) {
        f->asked++; /* the last one's answer comes first */
        for (size_t k = 0; k <= (f->answers > 0 ? f->answers - 1 : 0) && rc == SP_OK; k++)
            rc = give(f, q->dns[q->count - 1 - i], q->count - 1 - i, q);
    }
    if (q->filter != NULL) {
        ck_assert_str_eq(q->dns[0], "dc=h");
        ck_assert_str_eq(q->filter, "(x=1)");
        for (size_t i = 0; i < f->count && rc == SP_OK; i++)
            if (i == 0 || strcmp(f->rows[i].dn, f->rows[i - 1].dn) != 0)
                rc = give(f, f->rows[i].dn, 0, q);
    }
    return rc == SP_OK && f->fails != SP_OK ? sp_fail(err, f->fails, "cut off") : rc;
}

static struct sp_directory *directory(const char *list, int depth)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_directory *d = NULL;
    struct sp_buf text;

    sp_buf_init(&text, 4096);
    sp_buf_printf(&text,
                  "{\"servers\": [\"ldaps://h\"], \"base\": \"dc=h\", \"depth\": %d, \"lists\": "
                  "[{\"name\": \"l\", %s}]}",
                  depth, list);
    ck_assert_int_eq(sp_directory_load(sp_buf_bytes(&text), "h.json", problems, &d), SP_OK);
    sp_buf_clear(&text);
    return d;
}

struct outcome {
    enum sp_rc rc;
    struct sp_roster_tally tally;
    struct sp_err err;
    size_t missing;     /* as the file tells it */
    char members[4096]; /* one a line */
};

static void collect(struct fake *f, const char *list, int depth, struct outcome *out)
{
    const struct sp_roster_source source = {f, fake_ask};
    SP_AUTO(sp_directory) d = directory(list, depth);
    struct sp_roster *r = sp_roster_new(SP_ROSTER_ADDRESSES);
    struct sp_roster_change change;
    struct sp_buf text;

    *out = (struct outcome){.rc = SP_OK};
    out->rc = sp_roster_collect(&source, d, &d->lists[0], r, &out->tally, &out->err);
    sp_buf_init(&text, sizeof(out->members) - 1);
    ck_assert_int_eq(sp_roster_format(r, "", &text), SP_OK);
    sp_roster_compare(r, sp_buf_bytes(&text), "", &change);
    out->missing = change.missing_before;
    memcpy(out->members, text.ptr, text.len);
    do /* without notes */
        memmove(out->members, strchr(out->members, '\n') + 1,
                strlen(strchr(out->members, '\n') + 1) + 1);
    while (out->members[0] == '#');
    sp_buf_clear(&text);
    sp_roster_free(r);
}

#define GROUP "\"group\": \"cn=G\""
#define FAKE(table)                                                                                \
    (struct fake)                                                                                  \
    {                                                                                              \
        .rows = (table), .count = SP_ARRAY_LEN(table)                                              \
    }

static const struct row circle[] = {
    {"cn=G", "member", "uid=ann"},
    {"cn=G", "member", "CN=H"},
    {"cn=H", "uniqueMember", "cn=I"},
    {"cn=H", "member", "UID=Ann"},
    {"cn=I", "member", "cn=g"},
    {"cn=I", "member", "uid=bob"},
    {"cn=I", "member", "uid=gone"},
    {"cn=I", "mail", "group-i@h.example"},
    {"uid=ann", "mail", "Ann@h.example"},
    {"uid=ann", "proxyAddresses", "SMTP:ann@h.example"},
    {"uid=ann", "proxyAddresses", "smtp:a.n@h.example"},
    {"uid=ann", "proxyAddresses", "X500:/o=h"},
    {"uid=bob", "telephoneNumber", "1"},
};

START_TEST(groups_in_groups_and_in_a_circle)
{
    struct fake f = FAKE(circle);
    struct outcome o;

    collect(&f, GROUP, 8, &o);
    ck_assert_msg(o.rc == SP_OK, "%s", o.err.text);
    ck_assert_str_eq(o.members, "a.n@h.example\nann@h.example\n");
    ck_assert_uint_eq(o.tally.groups, 3);
    ck_assert_uint_eq(o.tally.people, 2);
    ck_assert_uint_eq(o.tally.without, 1);
    ck_assert_uint_eq(o.tally.gone, 1);
    ck_assert_uint_eq(f.asked, 6); /* each once */
}
END_TEST

START_TEST(a_group_too_deep_is_an_error_and_not_left_out)
{
    struct fake f = FAKE(circle);
    struct outcome o;

    collect(&f, GROUP, 1, &o);
    ck_assert_int_eq(o.rc, SP_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(o.err.text, "deeper than 1"));
    collect(&f, GROUP, 2, &o);
    ck_assert_int_eq(o.rc, SP_OK);
}
END_TEST

START_TEST(a_group_that_is_not_there_is_an_error)
{
    struct fake f = FAKE(circle);
    struct outcome o;

    collect(&f, "\"group\": \"cn=other\"", 8, &o);
    ck_assert_int_eq(o.rc, SP_E_NOT_FOUND);
}
END_TEST

START_TEST(an_answer_that_is_cut_is_none)
{
    struct fake f = FAKE(circle);
    struct outcome o;

    f.fails = SP_E_TIMEOUT;
    collect(&f, GROUP, 8, &o);
    ck_assert_int_eq(o.rc, SP_E_TIMEOUT);
    collect(&f, "\"filter\": \"(x=1)\"", 8, &o);
    ck_assert_int_eq(o.rc, SP_E_TIMEOUT);
}
END_TEST

START_TEST(a_filter_takes_whoever_it_finds)
{
    struct fake f = FAKE(circle);
    struct outcome o;

    collect(&f, "\"filter\": \"(x=1)\"", 8, &o);
    ck_assert_int_eq(o.rc, SP_OK);
    ck_assert_str_eq(o.members, "a.n@h.example\nann@h.example\ngroup-i@h.example\n");
}
END_TEST

START_TEST(addresses_that_are_none_are_counted)
{
    static const struct row rows[] = {{"cn=G", "member", "uid=x"},
                                      {"uid=x", "mail", "not an address"}};
    struct fake f = FAKE(rows);
    struct outcome o;

    collect(&f, GROUP, 8, &o);
    ck_assert_int_eq(o.rc, SP_OK);
    ck_assert_uint_eq(o.tally.odd, 1);
    ck_assert_uint_eq(o.tally.without, 1);
    ck_assert_str_eq(o.members, "");
}
END_TEST

START_TEST(a_large_group_comes_in_parts)
{
    static const size_t parts[] = {1, 2, 3, 4, 40, 41};
    static char text[41][2][40];
    static struct row rows[2 * 41];

    for (size_t i = 0; i < 41; i++) {
        snprintf(text[i][0], sizeof(text[i][0]), "uid=p%zu", i);
        snprintf(text[i][1], sizeof(text[i][1]), "p%02zu@h.example", i);
        rows[i] = (struct row){"cn=G", "member", text[i][0]};
        rows[41 + i] = (struct row){text[i][0], "mail", text[i][1]};
    }
    for (size_t i = 0; i < SP_ARRAY_LEN(parts); i++) {
        struct fake f = FAKE(rows);
        struct outcome o;

        f.part_len = parts[i];
        collect(&f, GROUP, 8, &o);
        ck_assert_msg(o.rc == SP_OK, "parts of %zu: %s", parts[i], o.err.text);
        ck_assert_uint_eq(o.tally.people, 41);
        ck_assert_ptr_nonnull(strstr(o.members, "p40@h.example\n"));
    }
}
END_TEST

START_TEST(parts_that_make_no_whole_are_an_error)
{
    static const char *const names[] = {
        "member;range=5-9", "member;range=0-", "member;range=0-x", "member;range=3-1",
        "member;range=x-*", "member;range=0-0"}; /* and the next part is the same */

    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        const struct row rows[] = {{"cn=G", names[i], "uid=x"}, {"uid=x", "mail", "x@h.example"}};
        struct fake f = FAKE(rows);
        struct outcome o;

        collect(&f, GROUP, 8, &o);
        ck_assert_msg(o.rc == SP_E_MALFORMED, "%s: %d", names[i], (int)o.rc);
    }
}
END_TEST

START_TEST(two_attributes_in_parts_are_an_error)
{
    static const char *const names[][2] = {{"member;range=0-1", "uniqueMember;range=0-1"},
                                           {"member;range=0-1", "uniqueMember;range=0-*"},
                                           {"uniqueMember;range=0-1", "member;range=0-1"}};

    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        const struct row rows[] = {{"cn=G", names[i][0], "uid=x"}, {"cn=G", names[i][1], "uid=y"}};
        struct fake f = FAKE(rows);
        struct outcome o;

        collect(&f, GROUP, 8, &o);
        ck_assert_msg(o.rc == SP_E_UNSUPPORTED, "%zu: %d", i, (int)o.rc);
        ck_assert_ptr_nonnull(strstr(o.err.text, "\"members\""));
    }
}
END_TEST

START_TEST(an_entry_that_comes_twice_is_an_error)
{
    static const struct row rows[] = {{"cn=G", "member;range=0-0", "uid=x"}};
    struct fake f = FAKE(rows);
    struct outcome o;

    f.answers = SP_ROSTER_BATCH_MAX + 1;
    collect(&f, GROUP, 8, &o);
    ck_assert_int_eq(o.rc, SP_E_MALFORMED);
}
END_TEST

START_TEST(members_that_were_not_found_stand_in_the_file)
{
    struct fake f = FAKE(circle);
    struct outcome o;

    collect(&f, GROUP, 8, &o);
    ck_assert_uint_eq(o.missing, 1);
    collect(&f, "\"filter\": \"(x=1)\"", 8, &o);
    ck_assert_uint_eq(o.missing, 0);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, groups_in_groups_and_in_a_circle);
    tcase_add_test(c, a_group_too_deep_is_an_error_and_not_left_out);
    tcase_add_test(c, a_group_that_is_not_there_is_an_error);
    tcase_add_test(c, an_answer_that_is_cut_is_none);
    tcase_add_test(c, a_filter_takes_whoever_it_finds);
    tcase_add_test(c, addresses_that_are_none_are_counted);
    tcase_add_test(c, a_large_group_comes_in_parts);
    tcase_add_test(c, parts_that_make_no_whole_are_an_error);
    tcase_add_test(c, two_attributes_in_parts_are_an_error);
    tcase_add_test(c, an_entry_that_comes_twice_is_an_error);
    tcase_add_test(c, members_that_were_not_found_stand_in_the_file);
}

SP_TEST_MAIN("roster.walk", add)
