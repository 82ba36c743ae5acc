/*
 * Is a message sealed already? Only what has been parsed counts: S/MIME whose outermost structure is EnvelopedData or
 * AuthEnvelopedData and fills its part, PGP whose packets are session keys and then one encrypted packet. A label alone
 * ("multipart/encrypted") would be a way past every rule, and so would readable text beside the ciphertext.
 */
#include "detect/detect_priv.h"

#define BESIDE_MAX     512 /* bytes outside the parts: what mail programs write there */
#define KEYS_MAX       64  /* session key packets */
#define CIPHERTEXT_MIN 16  /* bytes: less is no message */
#define BER_DEPTH_MAX  16
#define OID_MAX        16
#define KEY_INFO_MAX   8192 /* bytes of one recipient's info */
#define KEY_INFOS_MAX  2000
#define ATTRIBUTES_MAX 4096 /* bytes of what is authenticated but readable */

/* ---- a small reader over a decoder ---- */

struct reader {
    struct sp_mime_decoder *d;
    uint8_t piece[4096];
    size_t at, len;
    bool end;
};

/* returns: the next byte, or -1 at the end or on an error */
static int next_byte(struct reader *r)
{
    if (r->at == r->len && !r->end) {
        r->at = 0;
        if (sp_mime_decoder_read(r->d, r->piece, sizeof(r->piece), &r->len) != SP_OK)
            r->len = 0;
        r->end = r->len == 0;
    }
    return r->at < r->len ? r->piece[r->at++] : -1;
}

/* ---- PGP ---- */

struct armor {
    struct reader in;
    bool bad;
    bool ended; /* the tail has been seen */
    uint32_t bits;
    unsigned bit_count;
};

static int base64_value(int c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Reads a line without its end. returns: its length (cut at max), -1 at the end of the text */
static int read_line(struct armor *a, char *out, size_t max)
{
    size_t n = 0;
    int c = next_byte(&a->in);

    if (c < 0)
        return -1;
    for (; c >= 0 && c != '\n'; c = next_byte(&a->in))
        if (c != '\r' && n + 1 < max)
            out[n++] = (char)c;
    out[n] = '\0';
    while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '\t'))
        out[--n] = '\0';
    return (int)n;
}

/* Head line and armor headers, up to the empty line. */
static bool armor_begin(struct armor *a)
{
    char line[256];
    int len;

    do {
        len = read_line(a, line, sizeof(line));
    } while (len == 0);
    if (len < 0 || strcmp(line, "-----BEGIN PGP MESSAGE-----") != 0)
        return false;
    for (int i = 0; i < 20; i++) {
        len = read_line(a, line, sizeof(line));
        if (len <= 0)
            return len == 0;
        if (strncmp(line, "Version:", 8) != 0 && strncmp(line, "Hash:", 5) != 0 &&
            strncmp(line, "Charset:", 8) != 0)
            return false; /* a comment could hold anything */
    }
    return false;
}

/* The tail: "=CRC", END line, and nothing behind but blanks. c: the byte that was no base 64 */
static void armor_end(struct armor *a, int c)
{
    char line[256];

    while (c == '=')
        c = next_byte(&a->in);
    while (c >= 0 && c != '-') /* the rest of padding and checksum */
        c = base64_value(c) >= 0 || c == '=' || c == '\r' || c == '\n' ? next_byte(&a->in) : -1;
    a->ended = true;
    if (c != '-' || read_line(a, line, sizeof(line)) < 0 ||
        strcmp(line, "----END PGP MESSAGE-----") != 0) {
        a->bad = true;
        return;
    }
    for (c = next_byte(&a->in); c >= 0; c = next_byte(&a->in))
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            a->bad = true;
}

/* returns: the next decoded byte, or -1 */
static int armor_byte(struct armor *a)
{
    while (a->bit_count < 8 && !a->ended) {
        int c = next_byte(&a->in), v = base64_value(c);

        if (v >= 0) {
            a->bits = a->bits << 6 | (uint32_t)v;
            a->bit_count += 6;
        } else if (c != '\r' && c != '\n') {
            armor_end(a, c);
        }
    }
    if (a->bit_count < 8)
        return -1;
    a->bit_count -= 8;
    return (int)(a->bits >> a->bit_count & 0xff);
}

/* Reads a new-format length (RFC 9580 4.2.1). partial: more of the packet follows behind so many bytes */
static bool packet_len(struct armor *a, uint64_t *len, bool *partial)
{
    int first = armor_byte(a);

    *partial = first >= 224 && first < 255;
    *len = 0;
    if (first < 0)
        return false;
    if (*partial)
        *len = (uint64_t)1 << (first & 0x1f);
    else if (first < 192)
        *len = (uint64_t)first;
    else if (first < 224)
        *len = (uint64_t)(first - 192) * 256 + (uint64_t)(armor_byte(a) & 0xff) + 192;
    for (int i = 0; first == 255 && i < 4; i++)
        *len = *len << 8 | (uint64_t)(armor_byte(a) & 0xff);
    return true;
}

/* Reads a packet's tag and length. returns: the tag, -1 if there is none or its length is unknown */
static int packet_head(struct armor *a, uint64_t *len, bool *partial)
{
    int head = armor_byte(a), octets;

    *partial = false;
    *len = 0;
    if (head < 0 || (head & 0x80) == 0)
        return -1;
    if ((head & 0x40) != 0)
        return packet_len(a, len, partial) ? head & 0x3f : -1;
    octets = 1 << (head & 3); /* old format */
    for (int i = 0; i < octets && octets < 8; i++)
        *len = *len << 8 | (uint64_t)(armor_byte(a) & 0xff);
    return octets == 8 ? -1 : head >> 2 & 0x0f;
}

static bool skip_bytes(struct armor *a, uint64_t len)
{
    for (; len > 0; len--)
        if (armor_byte(a) < 0)
            return false;
    return true;
}

/* The encrypted packet's body, all of its pieces, and then the armor's end at once. */
static bool is_all_the_rest(struct armor *a, uint64_t len, bool partial)
{
    uint64_t total = len;

    while (partial) {
        if (!skip_bytes(a, len) || !packet_len(a, &len, &partial))
            return false;
        total += len;
    }
    return skip_bytes(a, len) && total >= CIPHERTEXT_MIN && armor_byte(a) < 0 && a->ended &&
           !a->bad;
}

static bool is_pgp_ciphertext(struct armor *a)
{
    for (int i = 0; i <= KEYS_MAX; i++) {
        uint64_t len;
        bool partial;
        int tag = packet_head(a, &len, &partial);

        if (tag == 18 || tag == 20) /* SEIPD, AEAD */
            return i > 0 && is_all_the_rest(a, len, partial);
        if ((tag != 1 && tag != 3) || partial || len > 4096 || !skip_bytes(a, len))
            return false;
    }
    return false;
}

/* The first part says "Version: 1" and nothing else (RFC 3156 4). */
static bool is_version_part(struct sp_mime *m)
{
    uint8_t text[64];
    size_t len = 0;
    size_t n = 0;
    struct sp_mime_decoder *d;

    if (!sp_mime_part_is_exact(m, 0))
        return false;
    d = sp_mime_decoder_new(m, 0, SP_MIME_AS_BYTES);
    while (len < sizeof(text) &&
           sp_mime_decoder_read(d, text + len, sizeof(text) - len, &n) == SP_OK && n > 0)
        len += n;
    sp_mime_decoder_free(d);
    return len < sizeof(text) &&
           sp_bytes_eq_nocase(sp_bytes_trim(sp_bytes(text, len)), SP_LIT("Version: 1"));
}

static bool is_pgp(struct sp_mime *m)
{
    struct armor *a;
    bool is;

    if (sp_mime_part_count(m) != 2 ||
        strcmp(sp_mime_part_get(m, 0)->type, "application/pgp-encrypted") != 0 ||
        strcmp(sp_mime_part_get(m, 1)->type, "application/octet-stream") != 0 ||
        !is_version_part(m) || !sp_mime_part_is_exact(m, 1))
        return false;
    a = sp_calloc(1, sizeof(*a));
    a->in.d = sp_mime_decoder_new(m, 1, SP_MIME_AS_BYTES);
    is = armor_begin(a) && is_pgp_ciphertext(a);
    sp_mime_decoder_free(a->in.d);
    sp_free(a);
    return is;
}

/* ---- S/MIME ---- */

static const uint8_t enveloped[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03};
static const uint8_t auth_enveloped[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
                                         0x01, 0x09, 0x10, 0x01, 0x17};
static const uint8_t signed_data[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02};

/*
 * A walk over BER: lengths definite and indefinite (X.690 8.1.3), no recursion. The first fault sticks; from then on
 * nothing more is there.
 */
struct ber {
    struct reader in;
    uint64_t at;
    bool bad;
    unsigned depth;
    struct {
        uint64_t end; /* of what it lies in, if its own length is indefinite */
        bool indefinite;
    } frames[BER_DEPTH_MAX];
};

static uint64_t ber_end(const struct ber *b)
{
    return b->depth == 0 ? UINT64_MAX : b->frames[b->depth - 1].end;
}

static int ber_byte(struct ber *b)
{
    int c = b->bad || b->at >= ber_end(b) ? -1 : next_byte(&b->in);

    if (c < 0)
        b->bad = true;
    else
        b->at++;
    return b->bad ? 0 : c;
}

/* returns: the next byte, which stays; -1 at the end */
static int ber_peek(struct ber *b)
{
    int c = b->bad || b->at >= ber_end(b) ? -1 : next_byte(&b->in);

    if (c >= 0)
        b->in.at--;
    return c;
}

/* Reads tag and length. len: UINT64_MAX for an indefinite one. returns: the tag */
static int ber_head(struct ber *b, uint64_t *len)
{
    int tag = ber_byte(b), first = ber_byte(b);

    *len = (uint64_t)first;
    if (first > 0x80) {
        *len = 0;
        for (int i = 0; i < (first & 0x7f); i++)
            *len = *len << 8 | (uint64_t)ber_byte(b);
    } else if (first == 0x80) {
        *len = UINT64_MAX;
    }
    if (tag == 0 || (tag & 0x1f) == 0x1f || first > 0x80 + 7 ||
        (first == 0x80 ? (tag & 0x20) == 0 : *len > ber_end(b) - b->at))
        b->bad = true;
    return tag;
}

static void ber_push(struct ber *b, uint64_t len)
{
    if (b->bad || b->depth == BER_DEPTH_MAX) {
        b->bad = true;
        return;
    }
    b->frames[b->depth].end = len == UINT64_MAX ? ber_end(b) : b->at + len;
    b->frames[b->depth].indefinite = len == UINT64_MAX;
    b->depth++;
}

/* returns: whether the structure that was entered last has another element */
static bool ber_more(struct ber *b)
{
    if (b->bad || b->depth == 0)
        return false;
    return b->frames[b->depth - 1].indefinite ? ber_peek(b) > 0 : b->at < ber_end(b);
}

static void ber_enter(struct ber *b, int tag)
{
    uint64_t len;

    if (ber_head(b, &len) != tag)
        b->bad = true;
    ber_push(b, len);
}

/* Out of it again: it must end here. */
static void ber_leave(struct ber *b)
{
    if (b->bad || b->depth == 0 || ber_more(b)) {
        b->bad = true;
        return;
    }
    if (b->frames[b->depth - 1].indefinite && (ber_byte(b) != 0 || ber_byte(b) != 0))
        b->bad = true;
    b->depth--;
}

static void ber_drop(struct ber *b, uint64_t len)
{
    for (; len > 0 && !b->bad; len--)
        ber_byte(b);
}

/* Skips one element, whatever is in it, of at most max bytes. */
static void ber_skip(struct ber *b, uint64_t max)
{
    unsigned base = b->depth;
    uint64_t start = b->at, len;

    do {
        if (b->depth > base && !ber_more(b)) {
            ber_leave(b);
            continue;
        }
        ber_head(b, &len);
        if (len == UINT64_MAX)
            ber_push(b, len);
        else if (len > max)
            b->bad = true;
        else
            ber_drop(b, len);
        if (b->at - start > max)
            b->bad = true;
    } while (b->depth > base && !b->bad);
}

static size_t ber_oid(struct ber *b, uint8_t oid[OID_MAX])
{
    uint64_t len;

    if (ber_head(b, &len) != 0x06 || len > OID_MAX)
        b->bad = true;
    for (size_t i = 0; i < len && !b->bad; i++)
        oid[i] = (uint8_t)ber_byte(b);
    return b->bad ? 0 : (size_t)len;
}

/* RecipientInfos (RFC 5652 6.2): at least one, none of a kind that nobody knows */
static void walk_recipients(struct ber *b)
{
    unsigned count = 0;

    ber_enter(b, 0x31);
    for (; ber_more(b) && count <= KEY_INFOS_MAX; count++) {
        int tag = ber_peek(b);

        if (tag != 0x30 && (tag < 0xa1 || tag > 0xa3))
            b->bad = true;
        ber_skip(b, KEY_INFO_MAX);
    }
    if (count == 0 || count > KEY_INFOS_MAX)
        b->bad = true;
    ber_leave(b);
}

/* EncryptedContentInfo (RFC 5652 6.1): the ciphertext in one piece or in several, and it must be there */
static void walk_content(struct ber *b)
{
    uint8_t oid[OID_MAX];
    uint64_t len, total = 0;
    bool pieces;

    ber_enter(b, 0x30);
    (void)ber_oid(b, oid);
    if (ber_peek(b) != 0x30)
        b->bad = true;
    ber_skip(b, KEY_INFO_MAX); /* the algorithm */
    pieces = ber_peek(b) == 0xa0;
    if (pieces)
        ber_enter(b, 0xa0);
    do {
        if (ber_head(b, &len) != (pieces ? 0x04 : 0x80))
            b->bad = true;
        ber_drop(b, len);
        total += len;
    } while (pieces && ber_more(b));
    if (pieces)
        ber_leave(b);
    if (total < CIPHERTEXT_MIN)
        b->bad = true;
    ber_leave(b);
}

/*
 * EnvelopedData (RFC 5652 6.1) or AuthEnvelopedData (RFC 5083 2.1). originatorInfo and the attributes that nothing
 * protects are refused: mail programs write none, and they could hold anything.
 */
static void walk_enveloped(struct ber *b, bool auth)
{
    ber_enter(b, 0xa0);
    ber_enter(b, 0x30);
    if (ber_peek(b) != 0x02)
        b->bad = true;
    ber_skip(b, 3); /* the version */
    walk_recipients(b);
    walk_content(b);
    if (auth) {
        if (ber_peek(b) == 0xa1)
            ber_skip(b, ATTRIBUTES_MAX);
        if (ber_peek(b) != 0x04)
            b->bad = true;
        ber_skip(b, 66); /* the MAC */
    }
    ber_leave(b);
    ber_leave(b);
}

static enum sp_detect_sealed content_info_of(struct sp_mime *m, struct ber *b)
{
    uint8_t oid[OID_MAX];
    size_t len;
    bool auth;

    ber_enter(b, 0x30);
    len = ber_oid(b, oid);
    if (len == sizeof(signed_data) && memcmp(oid, signed_data, len) == 0)
        return SP_DETECT_SIGNED;
    auth = len == sizeof(auth_enveloped) && memcmp(oid, auth_enveloped, len) == 0;
    if (!auth && (len != sizeof(enveloped) || memcmp(oid, enveloped, len) != 0))
        return SP_DETECT_NOT_SEALED;
    walk_enveloped(b, auth);
    ber_leave(b);
    return !b->bad && next_byte(&b->in) < 0 && sp_mime_part_is_exact(m, 0) ? SP_DETECT_SMIME
                                                                           : SP_DETECT_NOT_SEALED;
}

static enum sp_detect_sealed smime_of(struct sp_mime *m)
{
    struct ber *b = sp_calloc(1, sizeof(*b));
    enum sp_detect_sealed sealed;

    b->in.d = sp_mime_decoder_new(m, 0, SP_MIME_AS_BYTES);
    sealed = content_info_of(m, b);
    sp_mime_decoder_free(b->in.d);
    sp_wipe(b, sizeof(*b));
    sp_free(b);
    return sealed;
}

static bool is_alone(struct sp_mime *m)
{
    struct sp_buf beside;
    bool alone;

    sp_buf_init(&beside, BESIDE_MAX);
    alone = sp_mime_outside(m, &beside) == SP_OK;
    sp_buf_clear(&beside);
    return alone;
}

enum sp_detect_sealed sp_detect_sealed_of(struct sp_mime *m)
{
    const char *type = sp_mime_type(m);

    if (strcmp(type, "multipart/signed") == 0)
        return SP_DETECT_SIGNED;
    if (strcmp(type, "multipart/encrypted") == 0)
        return is_alone(m) && is_pgp(m) ? SP_DETECT_PGP : SP_DETECT_NOT_SEALED;
    if (sp_mime_part_count(m) == 1 && (strcmp(type, "application/pkcs7-mime") == 0 ||
                                       strcmp(type, "application/x-pkcs7-mime") == 0))
        return smime_of(m);
    return SP_DETECT_NOT_SEALED;
}
