/*
 * A list's file in the place of the one before: only if the new one is plausible. A list decides how people's mail is
 * protected, and what makes it is far away from who answers for it: a filter that was changed, an export that was cut, an
 * account that may see less than yesterday. So a list is refused that has no members or loses more than half of them; whose
 * file somebody else keeps; whose source names more members than before that it does not show, which may be groups with all
 * their people; or that loses people whom a table still names, with an empty group. --force says that it is meant. One that
 * is the same to the last byte is not written, which would be a reload for nothing: its time alone tells that it was looked
 * at (config/directory_age.c). Members alone are not compared: one with a day behind it would end on that day for good.
 */
#include "gateway/cli-tenant/cli.h"

#include "config/directory.h"
#include "config/lock.h"
#include "config/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool find_folder(const struct cli *cli, char out[CLI_PATH_MAX])
{
    char policy[CLI_PATH_MAX], *slash;

    if (sp_config_place(cli->settings->policy, cli->dir, policy, sizeof(policy)) != SP_OK)
        return false;
    slash = strrchr(policy, '/'); /* there is one: dir is before it */
    *slash = 0;
    return snprintf(out, CLI_PATH_MAX, "%s/" SP_DIRECTORY_LISTS, policy) < CLI_PATH_MAX;
}

enum sp_rc keep_begin(struct keeping *k, struct findings *f, struct sp_err *err)
{
    enum sp_rc rc;

    *k = (struct keeping){.f = f, .lock = -1};
    if (!find_folder(f->cli, k->folder))
        return sp_fail(err, SP_E_LIMIT, "the path is too long");
    if (f->cli->check)
        return SP_OK;
    if (mkdir(k->folder, 0755) != 0 && errno != EEXIST)
        return sp_fail_errno(err, SP_E_IO, errno, "%s can't be made", k->folder);
    /* Of their own: who keeps the lists need not be who may publish a policy, and write its history. */
    rc = sp_config_lock(k->folder, "lock", k->folder, &k->lock);
    if (rc == SP_E_EXISTS)
        return sp_fail(err, rc, "%s: another import or refresh is at work", k->folder);
    return rc == SP_OK ? SP_OK
                       : sp_fail_errno(err, rc, errno, "%s/" SP_CONFIG_HISTORY "/lock", k->folder);
}

/* returns: why the file may not be replaced; NULL if it may */
static const char *objection(const struct keeping *k, const struct sp_roster *r,
                             const struct sp_roster_change *c, struct sp_bytes now)
{
    if (!c->is_kept)
        return "its file is not kept from there, but by hand or from elsewhere";
    if (sp_roster_count(r) == 0)
        return "it would be empty";
    if (c->before > 0 && c->missing > c->missing_before)
        return "members or groups in it are not to be found that were before";
    if (k->named != NULL && sp_roster_lost(r, k->named, now) > 0)
        return "members of it stand in the table without a group";
    return c->gone * 2 > c->before ? "it would lose more than half of its members" : NULL;
}

/*
 * Lets cli-policy keep the policy's version of now, which this program can't load: once, before the first change. A policy
 * that does not load yet, since its list is not there, decides nothing.
 */
static void keep_version(struct keeping *k)
{
    char program[CLI_PATH_MAX], *slash;
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 20);
    char *const words[] = {"cli-policy", "policy", "keep", "-c", (char *)k->f->cli->config, NULL};
    posix_spawn_file_actions_t quiet;
    int status = 0;
    pid_t child;
    bool ok;

    if (k->was_kept)
        return;
    k->was_kept = true;
    program[n > 0 ? n : 0] = 0;
    slash = strrchr(program, '/');
    if (slash == NULL || posix_spawn_file_actions_init(&quiet) != 0)
        return;
    memcpy(slash + 1, "cli-policy", sizeof("cli-policy"));
    ok = posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0) == 0 &&
         posix_spawn_file_actions_adddup2(&quiet, 1, 2) == 0 &&
         posix_spawn(&child, program, &quiet, NULL, words, environ) == 0 &&
         waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) != CLI_WRONG;
    (void)posix_spawn_file_actions_destroy(&quiet);
    if (!ok)
        find(k->f, FINDING_ADVICE, "version",
             "the policy's version of before could not be kept: what it decided can't be replayed");
}

/* now: what is in the file. is_same: out: that is what would be written, to the last byte */
static enum sp_rc write_list(struct keeping *k, const char *path, const struct sp_roster *r,
                             const char *source, struct sp_bytes now, bool *is_same)
{
    bool check = k->f->cli->check;
    struct sp_buf text;
    enum sp_rc rc;

    sp_buf_init(&text, SP_ROSTER_FILE_MAX);
    rc = sp_roster_format(r, source, &text);
    *is_same = rc == SP_OK && sp_bytes_eq(sp_buf_bytes(&text), now);
    if (rc == SP_OK && *is_same && !check) {
        rc = utimensat(AT_FDCWD, path, NULL, 0) == 0 ? SP_OK : SP_E_IO;
    } else if (rc == SP_OK && !check) {
        keep_version(k);
        rc = sp_config_replace(path, sp_buf_bytes(&text),
                               0640); /* roles read it by the supervisor */
        k->changed = k->changed || rc == SP_OK;
    }
    sp_buf_clear(&text);
    return rc;
}

/* The path of the list, and what is in it now; "" if it is not there. */
static enum sp_rc read_list(const struct keeping *k, const char *list, char path[CLI_PATH_MAX],
                            struct sp_bytes *now)
{
    enum sp_rc rc;

    *now = SP_LIT("");
    if (snprintf(path, CLI_PATH_MAX, "%s/%s.txt", k->folder, list) >= CLI_PATH_MAX)
        return SP_E_LIMIT;
    rc = cli_read(k->f->cli, path, now);
    return rc == SP_E_NOT_FOUND ? SP_OK : rc;
}

/* The same members, and other bytes: a line ends on some day ("until="), or has a note, or its members stand twice. */
static bool was_edited(const struct sp_roster_change *c)
{
    return c->is_kept && c->before > 0 && c->added == 0 && c->gone == 0 &&
           c->missing == c->missing_before;
}

void keep_list(struct keeping *k, const char *list, const char *source, const struct sp_roster *r)
{
    const struct cli *cli = k->f->cli;
    struct sp_roster_change c;
    char path[CLI_PATH_MAX];
    struct sp_bytes now;
    enum sp_rc rc = read_list(k, list, path, &now);
    const char *why;
    bool is_same = false;

    sp_roster_compare(r, now, source, &c);
    why = rc == SP_OK && !cli->force ? objection(k, r, &c, now) : NULL;
    if (why != NULL) {
        find(k->f, FINDING_WRONG, list,
             "%s: stays as it is: %s (%zu now, %zu would go, %zu come): --force takes it", list,
             why, c.before, c.gone, c.added);
        return;
    }
    if (rc == SP_OK)
        rc = write_list(k, path, r, source, now, &is_same);
    if (rc != SP_OK)
        find(k->f, FINDING_WRONG, list, "%s: stays as it is: %s: %s", list, path, sp_rc_name(rc));
    else if (is_same)
        find(k->f, FINDING_OK, list, "%s: %zu members, unchanged", list, c.before);
    else
        find(k->f, FINDING_OK, list, "%s: %zu members%s, %s%zu added, %zu gone", list,
             sp_roster_count(r), cli->check ? " to be" : "",
             was_edited(&c) ? "written anew as its file was edited, " : "", c.added, c.gone);
}

void keep_end(struct keeping *k)
{
    if (k->lock >= 0)
        close(k->lock);
    if (k->changed)
        cli_reload(k->f->cli);
}
