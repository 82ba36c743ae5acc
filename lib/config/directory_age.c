/*
 * How old the lists are that directories keep. The time of a list's file is the time of the last refresh that found it
 * right, changed or not, so nothing else has to be kept, and a backup or a copy of the configuration has it too.
 */
#include "config/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_LEN_MAX 4096
#define FILE_LEN_MAX ((size_t)1 << 20)

struct ages {
    char lists[PATH_LEN_MAX]; /* folder, with a slash behind */
    int64_t now_ms;
    struct sp_problems *problems;
    sp_directory_age_fn fn;
    void *arg;
};

static bool read_file(const char *path, struct sp_buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t n = -1;
    uint8_t *at;

    if (fd < 0)
        return false;
    while ((at = sp_buf_reserve(out, 4096)) != NULL && (n = read(fd, at, 4096)) > 0)
        sp_buf_commit(out, (size_t)n);
    close(fd);
    return at != NULL && n == 0;
}

static void tell(const struct ages *a, const char *directory, const struct sp_directory *d,
                 const struct sp_directory_list *l)
{
    struct sp_directory_age age = {.directory = directory, .list = l->name, .age_ms = -1};
    char path[PATH_LEN_MAX];
    struct stat st;

    if (snprintf(path, sizeof(path), "%s%s.txt", a->lists, l->name) >= (int)sizeof(path))
        return;
    age.path = path;
    if (stat(path, &st) == 0) {
        age.age_ms = a->now_ms - (int64_t)st.st_mtim.tv_sec * 1000;
        age.age_ms = age.age_ms < 0 ? 0 : age.age_ms;
    }
    age.is_stale = age.age_ms < 0 || age.age_ms > d->max_age_ms;
    a->fn(a->arg, &age);
}

static void look_at(const struct ages *a, const char *path, struct sp_bytes file)
{
    SP_AUTO(sp_directory) d = NULL;
    char name[256];
    struct sp_buf text;

    sp_buf_init(&text, FILE_LEN_MAX);
    snprintf(name, sizeof(name), "%.*s", SP_FMT(sp_bytes_slice(file, 0, file.len - 5)));
    if (!read_file(path, &text))
        sp_problem_file(a->problems, path, 0, SP_E_IO, "can't be read");
    else if (sp_directory_load(sp_buf_bytes(&text), path, a->problems, &d) != SP_OK)
        d = NULL;
    for (size_t i = 0; d != NULL && i < d->list_count; i++)
        tell(a, name, d, &d->lists[i]);
    sp_buf_clear(&text);
}

static bool find_lists(struct ages *a, const char *folder, const char *policy)
{
    const char *slash = strrchr(policy, '/');
    int len = slash == NULL ? 0 : (int)(slash - policy) + 1;
    int n = policy[0] == '/'
                ? snprintf(a->lists, PATH_LEN_MAX, "%.*s" SP_DIRECTORY_LISTS "/", len, policy)
                : snprintf(a->lists, PATH_LEN_MAX, "%s/%.*s" SP_DIRECTORY_LISTS "/", folder, len,
                           policy);

    return n > 0 && n < PATH_LEN_MAX;
}

void sp_directory_ages(const char *folder, const char *policy, int64_t now_ms,
                       struct sp_problems *problems, sp_directory_age_fn fn, void *arg)
{
    struct ages a = {.now_ms = now_ms, .problems = problems, .fn = fn, .arg = arg};
    char path[PATH_LEN_MAX];
    const struct dirent *entry;
    DIR *dir;

    if (!find_lists(&a, folder, policy) ||
        snprintf(path, sizeof(path), "%s/" SP_DIRECTORY_FOLDER, folder) >= (int)sizeof(path))
        return;
    dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        struct sp_bytes file = sp_bytes_cstr(entry->d_name);

        if (entry->d_name[0] != '.' && sp_bytes_ends_nocase(file, SP_LIT(".json")) &&
            snprintf(path, sizeof(path), "%s/" SP_DIRECTORY_FOLDER "/%s", folder, entry->d_name) <
                (int)sizeof(path))
            look_at(&a, path, file);
    }
    if (dir != NULL)
        closedir(dir);
}
