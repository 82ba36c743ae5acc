/*
 * `keys rotate --master`: another master key. All other keys are derived from a root secret that it wraps, so one small
 * file is rewritten and no keyring, record or package; the gateway, which has the derived keys, is only told so that a fault
 * shows now and not at its next start. A key in a file is made here and exchanged; one that comes from elsewhere is let in
 * first (--next) and, when it has taken the old one's place, left alone in it.
 */
#include "gateway/cli-spool/spool.h"

#include "journal/master.h"
#include "base/text.h"

#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_elsewhere(const struct spool *s)
{
    return strcmp(s->master, s->beside) != 0;
}

static bool read_key(const char *path, struct sp_secret *out)
{
    struct sp_buf data;
    bool ok;

    sp_buf_init(&data, 256 * 1024);
    ok = spool_read_file(path, &data) && sp_secret_parse(sp_buf_bytes(&data), out) == SP_OK;
    sp_buf_wipe(&data);
    return ok;
}

static int exchange(const struct spool *s, const struct sp_journal_io *io, const char *name)
{
    struct sp_secret present, next;
    struct sp_err err = {0};
    enum sp_rc rc;

    if (!is_elsewhere(s) && s->next == NULL) {
        rc = sp_journal_master_rotate(io, name, sp_random_system(), &err);
        return rc == SP_OK
                   ? SPOOL_OK
                   : spool_fail(s, SPOOL_FAILED, "%s: nothing is lost, repeat this", err.text);
    }
    if (!read_key(s->master, &present) || (s->next != NULL && !read_key(s->next, &next)))
        return spool_fail(s, SPOOL_NO_INPUT, "%s is no file of 32 random bytes",
                          s->next == NULL ? s->master : s->next);
    rc = sp_journal_master_admit(io, name, &present, s->next == NULL ? NULL : &next,
                                 sp_random_system(), &err);
    sp_secret_clear(&present);
    sp_secret_clear(&next);
    return rc == SP_OK ? SPOOL_OK : spool_fail(s, SPOOL_FAILED, "%s", err.text);
}

/* {"opens": FILE, "alone": whether no other key opens anything now} */
static void tell_json(const struct spool *s)
{
    struct sp_buf json;
    struct sp_jw w;

    sp_buf_init(&json, SPOOL_PATH_MAX * 8);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "opens", s->next != NULL ? s->next : s->master);
    sp_jw_bool(&w, "alone", s->next == NULL);
    sp_jw_end(&w);
    (void)printf("%.*s\n", SP_FMT(sp_buf_bytes(&json)));
    sp_buf_clear(&json);
}

int spool_master(struct spool *s)
{
    char folder[SPOOL_PATH_MAX];
    char name[SPOOL_PATH_MAX];
    struct sp_journal_io io;
    struct sp_err err = {0};
    struct stat st;
    int code;

    if (s->next != NULL && !is_elsewhere(s)) /* the key would be exchanged for one made here */
        return spool_fail(s, SPOOL_USAGE,
                          "--next is for a master key that comes from elsewhere (a credential): %s "
                          "is a file, which --master alone exchanges for a new key; nothing is "
                          "changed",
                          s->master);
    (void)snprintf(folder, sizeof(folder), "%s", s->beside);
    (void)snprintf(name, sizeof(name), "%s", s->beside);
    if (stat(s->master, &st) != 0 || sp_journal_io_posix(dirname(folder), &io, &err) != SP_OK)
        return spool_fail(s, SPOOL_FAILED, "the folder of %s can't be opened", s->beside);
    if (geteuid() == 0)
        sp_journal_io_posix_owner(&io, st.st_uid, st.st_gid);
    code = exchange(s, &io, basename(name));
    sp_journal_io_posix_free(&io);
    if (code != SPOOL_OK)
        return code;
    if (s->next != NULL)
        spool_note_master(s, "master-key-admitted");
    else
        spool_note_master(s, is_elsewhere(s) ? "master-key-alone" : "master-key-replaced");
    (void)spool_reload(s);
    if (s->json)
        tell_json(s);
    else if (s->next != NULL)
        (void)printf("the key in %s opens everything now, beside the one in use: put it in that "
                     "one's place, restart, and repeat this without --next\n",
                     s->next);
    else
        (void)printf("%s alone opens everything now\n", s->master);
    return SPOOL_OK;
}
