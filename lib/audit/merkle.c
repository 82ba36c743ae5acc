/*
 * RFC 9162 2.1 without keeping the tree: adding a leaf merges full subtrees as a binary counter carries, and the root is
 * what is left, folded from the right. A proof needs the roots of disjoint ranges of leaves; taken from left to right
 * they follow one another, so one running tree serves them all, and a file of any length is proved in one pass.
 */
#include "audit/merkle.h"

static struct sp_digest join(const struct sp_digest *left, const struct sp_digest *right)
{
    uint8_t text[1 + 2 * SP_SHA256_LEN];
    struct sp_digest out = {0};

    text[0] = 1;
    memcpy(text + 1, left->b, SP_SHA256_LEN);
    memcpy(text + 1 + SP_SHA256_LEN, right->b, SP_SHA256_LEN);
    sp_crypt_sha256(sp_bytes(text, sizeof(text)), out.b);
    return out;
}

bool sp_digest_eq(const struct sp_digest *a, const struct sp_digest *b)
{
    return memcmp(a->b, b->b, SP_SHA256_LEN) == 0;
}

void sp_merkle_init(struct sp_merkle *m)
{
    memset(m, 0, sizeof(*m));
}

struct sp_digest sp_merkle_leaf(struct sp_bytes line)
{
    static const uint8_t mark = 0;
    struct sp_digest out = {0};

    sp_crypt_sha256_both(sp_bytes(&mark, 1), line, out.b);
    return out;
}

void sp_merkle_add(struct sp_merkle *m, const struct sp_digest *leaf)
{
    struct sp_digest node = *leaf;
    size_t k = 0;

    for (; (m->size >> k) & 1; k++)
        node = join(&m->node[k], &node);
    sp_assert(k < SP_MERKLE_DEPTH_MAX);
    m->node[k] = node;
    m->size++;
}

struct sp_digest sp_merkle_root(const struct sp_merkle *m)
{
    struct sp_digest root = {0};
    bool is_set = false;

    if (m->size == 0) {
        sp_crypt_sha256(sp_bytes(NULL, 0), root.b);
        return root;
    }
    for (size_t k = 0; k < SP_MERKLE_DEPTH_MAX; k++) {
        if (!((m->size >> k) & 1))
            continue;
        root = is_set ? join(&m->node[k], &root) : m->node[k];
        is_set = true;
    }
    return root;
}

struct range {
    uint64_t from;
    uint64_t to;
    struct sp_digest root;
};

struct sp_merkle_prover {
    uint64_t index;
    uint64_t size;
    uint64_t next; /* leaf that comes now */
    size_t count;  /* ranges */
    size_t at;     /* range that is being gathered, by its place from left to right */
    struct range range[SP_MERKLE_DEPTH_MAX];
    size_t order[SP_MERKLE_DEPTH_MAX]; /* ranges from left to right */
    struct sp_merkle running;
};

/* The largest power of two that is less than n (n > 1). */
static uint64_t split_of(uint64_t n)
{
    uint64_t k = 1;

    while (k << 1 < n)
        k <<= 1;
    return k;
}

/* RFC 9162 2.1.3.1, from the root down; the path is then read from its end. */
static void find_ranges(struct sp_merkle_prover *p, uint64_t index)
{
    uint64_t from = 0;
    uint64_t to = p->size;

    while (to - from > 1) {
        uint64_t middle = from + split_of(to - from);
        struct range *r = &p->range[p->count++];

        if (index < middle) {
            *r = (struct range){.from = middle, .to = to};
            to = middle;
        } else {
            *r = (struct range){.from = from, .to = middle};
            from = middle;
        }
    }
}

static void sort_ranges(struct sp_merkle_prover *p)
{
    for (size_t i = 0; i < p->count; i++) {
        size_t j = i;

        for (; j > 0 && p->range[p->order[j - 1]].from > p->range[i].from; j--)
            p->order[j] = p->order[j - 1];
        p->order[j] = i;
    }
}

struct sp_merkle_prover *sp_merkle_prover_new(uint64_t index, uint64_t size)
{
    struct sp_merkle_prover *p = sp_calloc(1, sizeof(*p));

    sp_assert(index < size);
    p->index = index;
    p->size = size;
    find_ranges(p, index);
    sort_ranges(p);
    return p;
}

void sp_merkle_prover_free(struct sp_merkle_prover *p)
{
    sp_free(p);
}

/*
 * A range left of the leaf is a full subtree of 2^k leaves whose place is a multiple of 2^(k+1). So, if the edge is not to
 * the left of it and not beyond the leaf, either that subtree is the edge's node k, or the edge's smaller nodes lie in it.
 */
bool sp_merkle_prover_seed(struct sp_merkle_prover *p, const struct sp_merkle *edge)
{
    sp_assert(p->next == 0);
    if (p->index < edge->size)
        return false;
    p->next = edge->size;
    for (; p->at < p->count; p->at++) {
        struct range *r = &p->range[p->order[p->at]];
        struct sp_merkle part = *edge;

        if (r->from >= edge->size)
            break;
        part.size = (r->to < edge->size ? r->to : edge->size) - r->from;
        if (r->to > edge->size) {
            p->running = part;
            break;
        }
        r->root = sp_merkle_root(&part); /* of one node */
    }
    return true;
}

void sp_merkle_prover_add(struct sp_merkle_prover *p, const struct sp_digest *leaf)
{
    uint64_t leaf_at = p->next++;
    struct range *r;

    if (p->at == p->count)
        return;
    r = &p->range[p->order[p->at]];
    if (leaf_at < r->from)
        return; /* the leaf that is to be proved lies between two ranges */
    sp_merkle_add(&p->running, leaf);
    if (leaf_at + 1 < r->to)
        return;
    r->root = sp_merkle_root(&p->running);
    sp_merkle_init(&p->running);
    p->at++;
}

enum sp_rc sp_merkle_prover_path(const struct sp_merkle_prover *p, struct sp_merkle_path *out)
{
    if (p->next < p->size)
        return SP_E_AUDIT_INCOMPLETE;
    out->count = p->count;
    for (size_t i = 0; i < p->count; i++)
        out->node[i] = p->range[p->count - 1 - i].root;
    return SP_OK;
}

/* One step up: fn is the node's place in its row, sn the last place there. */
static void climb(struct sp_digest *root, const struct sp_digest *sibling, uint64_t *fn,
                  uint64_t *sn)
{
    if (!(*fn & 1) && *fn != *sn) {
        *root = join(root, sibling);
    } else {
        *root = join(sibling, root);
        while (!(*fn & 1) && *fn != 0) {
            *fn >>= 1;
            *sn >>= 1;
        }
    }
    *fn >>= 1;
    *sn >>= 1;
}

bool sp_merkle_path_root(const struct sp_merkle_path *path, const struct sp_digest *leaf,
                         uint64_t index, uint64_t size, struct sp_digest *out)
{
    struct sp_digest root = *leaf;
    uint64_t fn = index;
    uint64_t sn;

    if (index >= size || path->count > SP_MERKLE_DEPTH_MAX)
        return false;
    sn = size - 1;
    for (size_t i = 0; i < path->count; i++) {
        if (sn == 0)
            return false;
        climb(&root, &path->node[i], &fn, &sn);
    }
    if (sn != 0)
        return false;
    *out = root;
    return true;
}
