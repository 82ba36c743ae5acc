/*
 * Is a message sealed already? Only what has been parsed counts: S/MIME whose outermost structure is EnvelopedData or
 * AuthEnvelopedData and fills its part, PGP whose packets are session keys and then one encrypted packet. A label alone
 * ("multipart/encrypted") would be a way past every rule, and so would readable text beside the ciphertext.
 */
#include "detect/detect_priv.h"

#include "base/text.h"

#define BESIDE_MAX 512 /* bytes outside the parts: what mail programs write there */
#define KEYS_MAX   64  /* session key packets */

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

/* Reads a packet's tag and length (RFC 9580 4.2). partial: of unknown length, which only the last may be */
static int packet_head(struct armor *a, uint64_t *len, bool *partial)
{
    int head = armor_byte(a), first, octets;

    *partial = false;
    *len = 0;
    if (head < 0 || (head & 0x80) == 0)
        return -1;
    if ((head & 0x40) == 0) { /* old format */
        octets = 1 << (head & 3);
        *partial = octets == 8;
        for (int i = 0; i < octets && octets < 8; i++)
            *len = *len << 8 | (uint64_t)(armor_byte(a) & 0xff);
        return head >> 2 & 0x0f;
    }
    first = armor_byte(a);
    if (first < 0)
        return -1;
    *partial = first >= 224 && first < 255;
    if (first < 192)
        *len = (uint64_t)first;
    else if (first < 224)
        *len = (uint64_t)(first - 192) * 256 + (uint64_t)(armor_byte(a) & 0xff) + 192;
    for (int i = 0; first == 255 && i < 4; i++)
        *len = *len << 8 | (uint64_t)(armor_byte(a) & 0xff);
    return head & 0x3f;
}

static bool is_pgp_ciphertext(struct armor *a)
{
    for (int i = 0; i <= KEYS_MAX; i++) {
        uint64_t len;
        bool partial;
        int tag = packet_head(a, &len, &partial);

        if (tag == 18 || tag == 20) { /* SEIPD, AEAD: all the rest, or as long as it says */
            uint64_t rest = 0;

            while (armor_byte(a) >= 0)
                rest++;
            return i > 0 && !a->bad && a->ended && (partial || rest == len) && rest >= 20;
        }
        if ((tag != 1 && tag != 3) || partial || len > 4096)
            return false;
        for (; len > 0; len--)
            if (armor_byte(a) < 0)
                return false;
    }
    return false;
}

static bool is_pgp(struct sp_mime *m)
{
    struct armor *a;
    bool is;

    if (sp_mime_part_count(m) != 2 ||
        strcmp(sp_mime_part_get(m, 0)->type, "application/pgp-encrypted") != 0 ||
        strcmp(sp_mime_part_get(m, 1)->type, "application/octet-stream") != 0 ||
        sp_mime_part_get(m, 0)->raw_len > 100)
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

/* returns: the length that a DER header says, UINT64_MAX for an indefinite one; used: bytes of the header */
static uint64_t der_len(struct sp_bytes in, size_t *used)
{
    uint64_t len = 0;
    size_t count;

    *used = 2;
    if (in.len < 2)
        return 0;
    if (in.ptr[1] < 0x80)
        return in.ptr[1];
    if (in.ptr[1] == 0x80)
        return UINT64_MAX;
    count = in.ptr[1] & 0x7f;
    if (count > 8 || in.len < 2 + count)
        return 0;
    for (size_t i = 0; i < count; i++)
        len = len << 8 | in.ptr[2 + i];
    *used = 2 + count;
    return len;
}

static bool has_oid(struct sp_bytes in, const uint8_t *oid, size_t len)
{
    return in.len >= len + 2 && in.ptr[0] == 0x06 && in.ptr[1] == len &&
           memcmp(in.ptr + 2, oid, len) == 0;
}

static enum sp_detect_sealed smime_of(struct sp_mime *m)
{
    struct reader *r = sp_calloc(1, sizeof(*r));
    enum sp_detect_sealed sealed = SP_DETECT_NOT_SEALED;
    struct sp_bytes head, oid;
    uint64_t len, total = 0;
    size_t used = 0;

    r->d = sp_mime_decoder_new(m, 0, SP_MIME_AS_BYTES);
    if (next_byte(r) == 0x30) {
        head = sp_bytes(r->piece, r->len);
        len = der_len(head, &used);
        oid = sp_bytes_slice(head, used, SIZE_MAX);
        if (has_oid(oid, enveloped, sizeof(enveloped)) ||
            has_oid(oid, auth_enveloped, sizeof(auth_enveloped)))
            sealed = SP_DETECT_SMIME;
        else if (has_oid(oid, signed_data, sizeof(signed_data)))
            sealed = SP_DETECT_SIGNED;
        for (total = 1; next_byte(r) >= 0;)
            total++;
        if (sealed == SP_DETECT_SMIME && len != UINT64_MAX && total != len + used)
            sealed = SP_DETECT_NOT_SEALED; /* something else lies behind it */
    }
    sp_mime_decoder_free(r->d);
    sp_wipe(r, sizeof(*r));
    sp_free(r);
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
