/* A libnvidia-ml.so.1 whose GPUs are lines of the file that $FAKE_NVML names, read anew at every call:
 *   gpu<TAB>uuid name minor total_mb used_mb util temp_c power_mw throttle_bits ecc error mig   (tab-separated)
 *   mig<TAB>parent_uuid uuid name total_mb used_mb
 *   proc<TAB>uuid pid mb
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned int u32;
typedef unsigned long long u64;
typedef struct { u64 total, free, used; } memory_t;
typedef struct { u32 gpu, memory; } utilization_t;
typedef struct { u32 pid; u64 used; u32 gi, ci; } process_t;

enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, NO_DRIVER = 9, LOST = 15 };
enum { ROWS = 64, COLUMNS = 14, LINE = 512 };

static __thread char lines[ROWS][LINE];
static __thread char *cells[ROWS][COLUMNS];
static __thread int rows;
static char names[ROWS][LINE]; /* a handle is the address of a UUID, so it outlives its GPU */
static int sessions = 0;

int nvml_fake_sessions(void) { return sessions; }

static int load(void) {
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    rows = 0;
    if (!file) return NO_DRIVER;
    while (rows < ROWS && fgets(lines[rows], LINE, file)) {
        char *rest = lines[rows];
        rest[strcspn(rest, "\n")] = 0;
        memset(cells[rows], 0, sizeof cells[rows]);
        for (int c = 0; c < COLUMNS && rest; c++) cells[rows][c] = strsep(&rest, "\t");
        rows++;
    }
    fclose(file);
    return OK;
}

static const char *handle_of(const char *uuid) {
    int n = 0;
    while (names[n][0] && strcmp(names[n], uuid)) n++;
    strcpy(names[n], uuid);
    return names[n];
}

static char **row_of(const char *uuid) {
    for (int r = 0; r < rows; r++) {
        int column = strcmp(cells[r][0], "gpu") == 0 ? 1 : strcmp(cells[r][0], "mig") == 0 ? 2 : 0;
        if (column && strcmp(cells[r][column], uuid) == 0) return cells[r];
    }
    return NULL;
}

static int is_slice(char **row) { return strcmp(row[0], "mig") == 0; }

static int find(const char *handle, char ***row) {
    if (load()) return NO_DRIVER;
    *row = row_of(handle);
    if (!*row) return LOST;
    char **gpu = is_slice(*row) ? row_of((*row)[1]) : *row;
    return atoi(gpu[11]);
}

static int number(const char *handle, int column, u32 *value) {
    char **row;
    int error = find(handle, &row);
    if (error) return error;
    if (is_slice(row) || strcmp(row[column], "-") == 0) return NOT_SUPPORTED;
    *value = (u32)strtoul(row[column], NULL, 0);
    return OK;
}

static int nth(const char *kind, const char *parent, u32 index, const char **handle) {
    if (load()) return NO_DRIVER;
    for (int r = 0; r < rows; r++) {
        if (strcmp(cells[r][0], kind) || (parent && strcmp(cells[r][1], parent))) continue;
        if (index-- == 0) { *handle = handle_of(cells[r][parent ? 2 : 1]); return OK; }
    }
    return NOT_FOUND;
}

int nvmlInitWithFlags(u32 flags) { (void)flags; int e = load(); if (!e) sessions++; return e; }
int nvmlShutdown(void) { sessions--; return OK; }
const char *nvmlErrorString(int code) { return code == LOST ? "GPU is lost" : "it failed"; }
int nvmlSystemGetDriverVersion(char *out, u32 size) { snprintf(out, size, "555.42"); return OK; }
int nvmlDeviceGetCount_v2(u32 *count) {
    int error = load();
    *count = 0;
    for (int r = 0; r < rows; r++) *count += strcmp(cells[r][0], "gpu") == 0;
    return error;
}
int nvmlDeviceGetHandleByIndex_v2(u32 index, const char **handle) {
    int error = nth("gpu", NULL, index, handle);
    char **row;
    return error ? error : find(*handle, &row);
}
int nvmlDeviceGetUUID(const char *handle, char *out, u32 size) { snprintf(out, size, "%s", handle); return OK; }
int nvmlDeviceGetName(const char *handle, char *out, u32 size) {
    char **row;
    int error = find(handle, &row);
    if (!error) snprintf(out, size, "%s", row[is_slice(row) ? 3 : 2]);
    return error;
}
int nvmlDeviceGetMinorNumber(const char *handle, u32 *minor) { return number(handle, 3, minor); }
int nvmlDeviceGetMemoryInfo(const char *handle, memory_t *memory) {
    char **row;
    int error = find(handle, &row);
    if (error) return error;
    memory->total = strtoull(row[4], NULL, 0) << 20;
    memory->used = strtoull(row[5], NULL, 0) << 20;
    memory->free = memory->total - memory->used;
    return OK;
}
int nvmlDeviceGetUtilizationRates(const char *handle, utilization_t *use) {
    use->memory = 0;
    return number(handle, 6, &use->gpu);
}
int nvmlDeviceGetTemperature(const char *handle, u32 sensor, u32 *value) { (void)sensor; return number(handle, 7, value); }
int nvmlDeviceGetPowerUsage(const char *handle, u32 *value) { return number(handle, 8, value); }
int nvmlDeviceGetPersistenceMode(const char *handle, u32 *value) { *value = 1; (void)handle; return OK; }
int nvmlDeviceGetCurrentClocksThrottleReasons(const char *handle, u64 *bits) {
    u32 value = 0;
    int error = number(handle, 9, &value);
    *bits = value;
    return error;
}
int nvmlDeviceGetTotalEccErrors(const char *handle, u32 type, u32 counter, u64 *count) {
    u32 value = 0;
    int error = number(handle, 10, &value);
    (void)type, (void)counter;
    *count = value;
    return error;
}
int nvmlDeviceGetMigMode(const char *handle, u32 *current, u32 *pending) {
    int error = number(handle, 12, current);
    *pending = *current;
    return error;
}
int nvmlDeviceGetMaxMigDeviceCount(const char *handle, u32 *count) { (void)handle; *count = 7; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(const char *handle, u32 index, const char **slice) {
    return nth("mig", handle, index, slice);
}
int nvmlDeviceGetComputeRunningProcesses_v3(const char *handle, u32 *count, process_t *found) {
    char **row;
    int error = find(handle, &row);
    u32 room = *count, seen = 0;
    if (error) return error;
    for (int r = 0; r < rows; r++) {
        if (strcmp(cells[r][0], "proc") || strcmp(cells[r][1], handle)) continue;
        if (found && seen < room) {
            found[seen].pid = (u32)strtoul(cells[r][2], NULL, 0);
            found[seen].used = strtoull(cells[r][3], NULL, 0) << 20;
            found[seen].gi = found[seen].ci = 0xFFFFFFFF;
        }
        seen++;
    }
    *count = seen;
    return seen > room ? TOO_SMALL : OK;
}
