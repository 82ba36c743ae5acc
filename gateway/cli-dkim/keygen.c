/*
 * keygen and dns. A key that is there stays, since the records of a key that is in use must not stop fitting it.
 */
#include "gateway/cli-dkim/cli.h"

#include "base/text.h"
#include "gateway/cli-dkim/keyfile.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define STRING_MAX 255 /* octets of one string of a TXT record, RFC 1035 3.3 */

/* A file: one object a line, or a line of words. */
static void tell_key(const struct cli *cli, const struct cli_key *k, bool made)
{
    struct sp_buf out;
    struct sp_jw w;

    if (!cli->json) {
        printf(made ? "made %s\n" : "%s is there already\n", k->path);
        return;
    }
    sp_buf_init(&out, 65536);
    sp_jw_init(&w, &out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "file", k->path);
    sp_jw_bool(&w, "made", made);
    sp_jw_end(&w);
    printf("%.*s\n", SP_FMT(sp_buf_bytes(&out)));
    sp_buf_clear(&out);
}

static int make(const struct cli *cli, const struct cli_key *k)
{
    struct sp_pkey *key = NULL;
    struct sp_buf pem;
    bool ok = false;

    if (k->path[0] == 0)
        return cli_say(cli, CLI_WRONG, "not-found",
                       "tenant %s: no setting names a file for the key of selector %s: "
                       "give sealer.%s",
                       k->tenant->name, k->selector,
                       k->kind == SP_PKEY_RSA ? "dkim_key" : "dkim_ed25519_key");
    if (access(k->path, F_OK) == 0) {
        key = cli_key_read(cli, k);
        sp_pkey_free(key);
        if (key == NULL)
            return CLI_WRONG;
        tell_key(cli, k, false);
        return CLI_OK;
    }
    sp_buf_init(&pem, SP_PKEY_PEM_MAX);
    if (sp_pkey_new(k->kind, cli->bits, &key) != SP_OK || sp_pkey_format(key, &pem) != SP_OK)
        (void)cli_say(cli, CLI_WRONG, "failed", "no key could be made");
    else if (!key_file_write(k->path, sp_buf_bytes(&pem)))
        (void)cli_say(cli, CLI_WRONG, "output", "%s can't be made: %s", k->path,
                      strerrordesc_np(errno));
    else
        ok = true;
    sp_buf_wipe(&pem);
    sp_pkey_free(key);
    if (ok)
        tell_key(cli, k, true);
    return ok ? CLI_OK : CLI_WRONG;
}

int cli_keygen(struct cli *cli)
{
    int code = CLI_OK;

    for (size_t i = 0; i < cli->key_count; i++) {
        bool told = false;

        for (size_t k = 0; k < i; k++) /* tenants that share the gateway's */
            told = told || strcmp(cli->keys[k].path, cli->keys[i].path) == 0;
        if (!told && make(cli, &cli->keys[i]) != CLI_OK)
            code = CLI_WRONG;
    }
    if (code == CLI_OK && !cli->json)
        printf("Now publish what \"sallyport dkim dns\" prints, and reload.\n");
    return code;
}

/* As a zone file has it: strings of at most 255. */
static void print_record(const struct cli_key *k, struct sp_bytes text)
{
    printf("%s. IN TXT (", k->name);
    for (size_t at = 0; at < text.len; at += STRING_MAX)
        printf(" \"%.*s\"", SP_FMT(sp_bytes_slice(text, at, STRING_MAX)));
    printf(" )\n");
}

static void put_json(const struct cli_key *k, struct sp_bytes text, struct sp_jw *w)
{
    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "tenant", k->tenant->name);
    sp_jw_cstr(w, "name", k->name);
    sp_jw_cstr(w, "type", "TXT");
    sp_jw_text(w, "value", text);
    sp_jw_end(w);
}

int cli_dns(struct cli *cli)
{
    struct sp_buf out, text;
    int code = CLI_OK;
    struct sp_jw w;

    sp_buf_init(&out, 4U << 20);
    sp_jw_init(&w, &out);
    sp_jw_array(&w, NULL);
    for (size_t i = 0; i < cli->key_count; i++) {
        const struct cli_key *k = &cli->keys[i];
        SP_AUTO(sp_pkey) key = cli_key_read(cli, k);

        sp_buf_init(&text, SP_DKIM_RECORD_MAX);
        if (key == NULL || sp_dkim_record_format(key, &text) != SP_OK)
            code = CLI_WRONG;
        else if (cli->json)
            put_json(k, sp_buf_bytes(&text), &w);
        else
            print_record(k, sp_buf_bytes(&text));
        sp_buf_clear(&text);
    }
    sp_jw_end(&w);
    if (cli->json)
        printf("%.*s\n", SP_FMT(sp_buf_bytes(&out)));
    sp_buf_clear(&out);
    return code;
}
