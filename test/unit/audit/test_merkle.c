/* The tree of RFC 9162: known roots, and proofs for every leaf of every small tree. */
#include <stdio.h>

#include "audit/merkle.h"
#include "base/text.h"
#include "support/check_main.h"

/* The eight leaves and the roots that the authors of Certificate Transparency publish with their implementation. */
static const struct sp_bytes leaves[] = {
    SP_LIT_INIT(""),
    SP_LIT_INIT("\x00"),
    SP_LIT_INIT("\x10"),
    SP_LIT_INIT("\x20\x21"),
    SP_LIT_INIT("\x30\x31"),
    SP_LIT_INIT("\x40\x41\x42\x43"),
    SP_LIT_INIT("\x50\x51\x52\x53\x54\x55\x56\x57"),
    SP_LIT_INIT("\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"),
};

static const char *const roots[] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static void check_root(const struct sp_merkle *m, const char *expected)
{
    struct sp_digest root = sp_merkle_root(m);
    struct sp_buf hex;

    sp_buf_init(&hex, 128);
    sp_hex_encode(&hex, sp_bytes(root.b, sizeof(root.b)));
    sp_buf_put_u8(&hex, 0);
    ck_assert_str_eq((const char *)hex.ptr, expected);
    sp_buf_clear(&hex);
}

START_TEST(the_known_roots_come_out)
{
    struct sp_merkle m;

    sp_merkle_init(&m);
    check_root(&m, roots[0]);
    for (size_t i = 0; i < SP_ARRAY_LEN(leaves); i++) {
        struct sp_digest leaf = sp_merkle_leaf(leaves[i]);

        sp_merkle_add(&m, &leaf);
        check_root(&m, roots[i + 1]);
    }
}
END_TEST

static struct sp_digest leaf_of(uint64_t i)
{
    uint8_t text[8];

    memcpy(text, &i, sizeof(text));
    return sp_merkle_leaf(sp_bytes(text, sizeof(text)));
}

static void prove(uint64_t index, uint64_t size, struct sp_merkle_path *path)
{
    SP_AUTO(sp_merkle_prover) p = sp_merkle_prover_new(index, size);

    for (uint64_t i = 0; i < size; i++) {
        struct sp_digest leaf = leaf_of(i);

        ck_assert_int_eq(sp_merkle_prover_path(p, path), SP_E_AUDIT_INCOMPLETE);
        sp_merkle_prover_add(p, &leaf);
    }
    ck_assert_int_eq(sp_merkle_prover_path(p, path), SP_OK);
}

START_TEST(every_leaf_of_every_small_tree_is_proved)
{
    struct sp_merkle m;

    sp_merkle_init(&m);
    for (uint64_t size = 1; size <= 40; size++) {
        struct sp_digest last = leaf_of(size - 1);
        struct sp_digest root;

        sp_merkle_add(&m, &last);
        root = sp_merkle_root(&m);
        for (uint64_t index = 0; index < size; index++) {
            struct sp_digest leaf = leaf_of(index);
            struct sp_merkle_path path;
            struct sp_digest got;

            prove(index, size, &path);
            ck_assert_msg(sp_merkle_path_root(&path, &leaf, index, size, &got) &&
                              sp_digest_eq(&got, &root),
                          "leaf %u of %u", (unsigned)index, (unsigned)size);
        }
    }
}
END_TEST

/* Behind the right edge of the first leaves alone: the same path, for every leaf behind it. */
START_TEST(a_proof_needs_no_more_of_the_older_leaves_than_their_edge)
{
    for (uint64_t size = 1; size <= 24; size++) {
        for (uint64_t edge_size = 0; edge_size < size; edge_size++) {
            struct sp_merkle edge;

            sp_merkle_init(&edge);
            for (uint64_t i = 0; i < edge_size; i++) {
                struct sp_digest leaf = leaf_of(i);

                sp_merkle_add(&edge, &leaf);
            }
            for (uint64_t index = 0; index < size; index++) {
                SP_AUTO(sp_merkle_prover) p = sp_merkle_prover_new(index, size);
                struct sp_merkle_path whole, path;

                ck_assert(sp_merkle_prover_seed(p, &edge) == (index >= edge_size));
                if (index < edge_size)
                    continue;
                for (uint64_t i = edge_size; i < size; i++) {
                    struct sp_digest leaf = leaf_of(i);

                    sp_merkle_prover_add(p, &leaf);
                }
                prove(index, size, &whole);
                ck_assert_int_eq(sp_merkle_prover_path(p, &path), SP_OK);
                ck_assert_uint_eq(path.count, whole.count);
                for (size_t i = 0; i < path.count; i++)
                    ck_assert_msg(sp_digest_eq(&path.node[i], &whole.node[i]), "%u of %u, edge %u",
                                  (unsigned)index, (unsigned)size, (unsigned)edge_size);
            }
        }
    }
}
END_TEST

START_TEST(a_proof_of_another_place_size_or_leaf_fails)
{
    struct sp_digest leaf = leaf_of(5);
    struct sp_digest other = leaf_of(6);
    struct sp_digest root;
    struct sp_digest got;
    struct sp_merkle_path path;
    struct sp_merkle m;

    sp_merkle_init(&m);
    for (uint64_t i = 0; i < 13; i++) {
        struct sp_digest next = leaf_of(i);

        sp_merkle_add(&m, &next);
    }
    root = sp_merkle_root(&m);
    prove(5, 13, &path);
    ck_assert(sp_merkle_path_root(&path, &leaf, 5, 13, &got) && sp_digest_eq(&got, &root));
    ck_assert(!sp_merkle_path_root(&path, &leaf, 13, 13, &got));
    ck_assert(!sp_merkle_path_root(&path, &leaf, 4, 13, &got) || !sp_digest_eq(&got, &root));
    ck_assert(!sp_merkle_path_root(&path, &other, 5, 13, &got) || !sp_digest_eq(&got, &root));
    ck_assert(!sp_merkle_path_root(&path, &leaf, 5, 40, &got));
    path.count--;
    ck_assert(!sp_merkle_path_root(&path, &leaf, 5, 13, &got));
    path.count += 2;
    ck_assert(!sp_merkle_path_root(&path, &leaf, 5, 13, &got));
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, the_known_roots_come_out);
    tcase_add_test(c, every_leaf_of_every_small_tree_is_proved);
    tcase_add_test(c, a_proof_needs_no_more_of_the_older_leaves_than_their_edge);
    tcase_add_test(c, a_proof_of_another_place_size_or_leaf_fails);
}

SP_TEST_MAIN("audit.merkle", add)
