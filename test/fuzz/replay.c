/*
 * Runs a fuzz target over every file of the folders and files named on the command line: how the corpus is replayed in
 * builds without libFuzzer. Also feeds each file cut short at a few places, which is where parsers break first.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t inputs;

static void run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data;
    size_t len;

    if (f == NULL) {
        perror(path);
        exit(1);
    }
    fseek(f, 0, SEEK_END);
    len = (size_t)ftell(f);
    rewind(f);
    for (size_t cut = 0; cut <= 8; cut++) {
        size_t part = len * cut / 8;

        /* an allocation of the exact size, so that the sanitizer sees a read past the end */
        data = malloc(part == 0 ? 1 : part);
        rewind(f);
        if (data == NULL || fread(data, 1, part, f) != part) {
            perror(path);
            exit(1);
        }
        LLVMFuzzerTestOneInput(data, part);
        free(data);
        inputs++;
    }
    fclose(f);
}

static void run_path(const char *path)
{
    struct stat st;
    DIR *dir;
    struct dirent *entry;
    char name[4096];

    if (stat(path, &st) != 0) {
        perror(path);
        exit(1);
    }
    if (!S_ISDIR(st.st_mode)) {
        run_file(path);
        return;
    }
    dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        run_file(name);
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    printf("%zu inputs replayed\n", inputs);
    return inputs == 0;
}
