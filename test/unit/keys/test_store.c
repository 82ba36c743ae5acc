/* Keys go in, are found by address, listed and removed. */
#include "keys/keys.h"

#include <stdio.h>

#include "support/check_main.h"

static void make(struct sp_keys_key *key, const char *id, const char *address, int64_t not_after)
{
    memset(key, 0, sizeof(*key));
    key->kind = id[0] == 'p' ? SP_KEYS_PGP : SP_KEYS_SMIME;
    snprintf(key->id, sizeof(key->id), "%s", id);
    snprintf(key->algorithm, sizeof(key->algorithm), "rsa-2048");
    snprintf(key->addresses[0], SP_KEYS_ADDRESS_MAX, "%s", address);
    snprintf(key->addresses[1], SP_KEYS_ADDRESS_MAX, "second-%s", address);
    key->address_count = 2;
    key->not_before_ms = 1000;
    key->not_after_ms = not_after;
    key->abilities = SP_KEYS_GCM;
    key->trust = SP_KEYS_PINNED;
    key->bytes = SP_LIT("\0bytes\xff");
}

struct seen {
    char ids[200];
    size_t count;
};

static void note(void *ctx, const struct sp_keys_key *key)
{
    struct seen *seen = ctx;
    size_t len = strlen(seen->ids);

    snprintf(seen->ids + len, sizeof(seen->ids) - len, "%s ", key->id);
    seen->count++;
    ck_assert_uint_eq(key->address_count, 2);
}

static struct sp_keys *open_store(void)
{
    static const struct {
        const char *id, *address;
        int64_t not_after;
    } rows[] = {{"smime:a", "pat@example.net", 5000},
                {"smime:b", "pat@example.net", 9000},
                {"pgp:c", "pat@example.net", 0},
                {"smime:d", "lab@example.net", 7000}};
    struct sp_keys *keys = NULL;
    struct sp_err err = {0};

    ck_assert_msg(sp_keys_open(":memory:", &keys, &err) == SP_OK, "%s", err.text);
    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        struct sp_keys_key key;

        make(&key, rows[i].id, rows[i].address, rows[i].not_after);
        ck_assert_int_eq(sp_keys_put(keys, &key, 1, &err), SP_OK);
    }
    return keys;
}

static void assert_each(struct sp_keys *keys, const char *address, const char *after,
                        unsigned limit, const char *want)
{
    struct seen seen = {{0}, 0};

    ck_assert_int_eq(
        sp_keys_each(keys,
                     &(struct sp_keys_query){sp_bytes_cstr(address), sp_bytes_cstr(after), limit},
                     note, &seen, NULL),
        SP_OK);
    ck_assert_str_eq(seen.ids, want);
}

START_TEST(keys_are_found_by_address_the_longest_lived_first)
{
    SP_AUTO(sp_keys) keys = open_store();

    assert_each(keys, "pat@example.net", "", 10, "pgp:c smime:b smime:a ");
    assert_each(keys, "second-pat@example.net", "", 10, "pgp:c smime:b smime:a ");
    assert_each(keys, "pat@example.net", "", 1, "pgp:c ");
    assert_each(keys, "nobody@example.net", "", 10, "");
}
END_TEST

START_TEST(all_keys_are_listed_in_pages)
{
    SP_AUTO(sp_keys) keys = open_store();

    assert_each(keys, "", "", 3, "pgp:c smime:a smime:b ");
    assert_each(keys, "", "smime:b", 3, "smime:d ");
}
END_TEST

START_TEST(one_key_comes_back_whole)
{
    SP_AUTO(sp_keys) keys = open_store();
    SP_AUTO(sp_arena) arena = sp_arena_new(1024);
    struct sp_keys_key key;

    ck_assert_int_eq(sp_keys_get(keys, SP_LIT("smime:b"), arena, &key, NULL), SP_OK);
    ck_assert_str_eq(key.id, "smime:b");
    ck_assert_str_eq(key.algorithm, "rsa-2048");
    ck_assert_str_eq(key.addresses[1], "second-pat@example.net");
    ck_assert_int_eq(key.not_before_ms, 1000);
    ck_assert_int_eq(key.not_after_ms, 9000);
    ck_assert_uint_eq(key.abilities, SP_KEYS_GCM);
    ck_assert_int_eq(key.trust, SP_KEYS_PINNED);
    ck_assert(sp_bytes_eq(key.bytes, SP_LIT("\0bytes\xff")));
    ck_assert_int_eq(sp_keys_get(keys, SP_LIT("smime:x"), arena, &key, NULL), SP_E_NOT_FOUND);
}
END_TEST

START_TEST(a_key_put_again_replaces_its_row)
{
    SP_AUTO(sp_keys) keys = open_store();
    struct sp_keys_key key;

    make(&key, "smime:a", "new@example.net", 100);
    ck_assert_int_eq(sp_keys_put(keys, &key, 2, NULL), SP_OK);
    assert_each(keys, "pat@example.net", "", 10, "pgp:c smime:b ");
    assert_each(keys, "new@example.net", "", 10, "smime:a ");
}
END_TEST

START_TEST(a_removed_key_is_gone)
{
    SP_AUTO(sp_keys) keys = open_store();

    ck_assert_int_eq(sp_keys_remove(keys, SP_LIT("smime:b"), NULL), SP_OK);
    ck_assert_int_eq(sp_keys_remove(keys, SP_LIT("smime:b"), NULL), SP_E_NOT_FOUND);
    assert_each(keys, "pat@example.net", "", 10, "pgp:c smime:a ");
    assert_each(keys, "second-pat@example.net", "", 10, "pgp:c smime:a ");
}
END_TEST

START_TEST(addresses_are_compared_in_lower_case)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } cases[] = {{"Pat@Example.NET", "pat@example.net"},
                 {"a@b", "a@b"},
                 {"", NULL},
                 {"a", NULL},
                 {"<a@b.example>", NULL},
                 {"J\xc3\xb6rg@M\xc3\xbcller.example", "j\xc3\xb6rg@xn--mller-kva.example"},
                 {"gru\xcc\x88n@b.example", NULL}, /* not in normal form */
                 {"postmaster", NULL},
                 {"a@b.example\n", NULL}};

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        char out[SP_KEYS_ADDRESS_MAX];
        bool good = sp_keys_address_normalise(sp_bytes_cstr(cases[i].in), out);

        ck_assert_msg(good == (cases[i].out != NULL), "case %zu", i);
        if (good)
            ck_assert_str_eq(out, cases[i].out);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, keys_are_found_by_address_the_longest_lived_first);
    tcase_add_test(c, all_keys_are_listed_in_pages);
    tcase_add_test(c, one_key_comes_back_whole);
    tcase_add_test(c, a_key_put_again_replaces_its_row);
    tcase_add_test(c, a_removed_key_is_gone);
    tcase_add_test(c, addresses_are_compared_in_lower_case);
}

SP_TEST_MAIN("keys.store", add)
