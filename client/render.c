#include "client/render.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *render_duration(double seconds, char out[RENDER_SIZE])
{
    enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };
    if (!(seconds >= 0) || seconds > 1e12) {
        (void)snprintf(out, RENDER_SIZE, "-");
        return out;
    }
    int64_t whole = (int64_t)(seconds + 0.5);
    if (seconds < 10) {
        (void)snprintf(out, RENDER_SIZE, "%.1fs", seconds);
    } else if (whole < MINUTE) {
        (void)snprintf(out, RENDER_SIZE, "%" PRId64 "s", whole);
    } else if (whole < HOUR) {
        (void)snprintf(out, RENDER_SIZE, "%" PRId64 "m%02" PRId64 "s", whole / MINUTE,
                       whole % MINUTE);
    } else if (whole < DAY) {
        (void)snprintf(out, RENDER_SIZE, "%" PRId64 "h%02" PRId64 "m", whole / HOUR,
                       whole % HOUR / MINUTE);
    } else {
        (void)snprintf(out, RENDER_SIZE, "%" PRId64 "d%02" PRId64 "h", whole / DAY,
                       whole % DAY / HOUR);
    }
    return out;
}

const char *render_time(int64_t wall_ms, char out[RENDER_SIZE])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    if (wall_ms <= 0 || gmtime_r(&seconds, &parts) == NULL) {
        (void)snprintf(out, RENDER_SIZE, "-");
        return out;
    }
    size_t length = strftime(out, RENDER_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(out + length, RENDER_SIZE - length, ".%03dZ", (int)(wall_ms % 1000));
    return out;
}

const char *render_count(int64_t value, char out[RENDER_SIZE])
{
    char digits[RENDER_SIZE];
    int length = snprintf(digits, sizeof digits, "%" PRId64, value);
    size_t to = 0;
    for (int i = 0; i < length; i++) {
        out[to++] = digits[i];
        int left = length - 1 - i;
        if (left > 0 && left % 3 == 0 && digits[i] != '-') {
            out[to++] = ',';
        }
    }
    out[to] = '\0';
    return out;
}

/* value with one of the units, each factor times the one before. */
static const char *scaled(double value, double factor, const char *const *units, size_t count,
                          char out[RENDER_SIZE])
{
    size_t unit = 0;
    while (value >= factor && unit + 1 < count) {
        value /= factor;
        unit++;
    }
    int decimals = unit == 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
    (void)snprintf(out, RENDER_SIZE, "%.*f %s", decimals, value, units[unit]);
    return out;
}

const char *render_bytes(int64_t bytes, char out[RENDER_SIZE])
{
    static const char *const UNITS[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    return scaled((double)bytes, 1024, UNITS, sizeof UNITS / sizeof UNITS[0], out);
}

const char *render_rate(double value, char out[RENDER_SIZE])
{
    static const char *const UNITS[] = {"", "k", "M", "G", "T", "P"};
    return scaled(value, 1000, UNITS, sizeof UNITS / sizeof UNITS[0], out);
}

const char *render_loss(double value, char out[RENDER_SIZE])
{
    double size = value < 0 ? -value : value;
    (void)snprintf(out, RENDER_SIZE, size < 100 ? "%.4f" : size < 1e6 ? "%.1f" : "%.3g", value);
    return out;
}

void render_bar(struct cam_text *out, double share, int width, bool unicode)
{
    static const char *const EIGHTHS[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    share = share >= 0 ? share : 0;
    share = share <= 1 ? share : 1;
    int eighths = (int)(share * width * 8 + 0.5);
    int cells = eighths / 8;
    for (int i = 0; i < cells; i++) {
        cam_text_add(out, "%s", unicode ? "█" : "#");
    }
    if (cells < width && unicode && eighths % 8 > 0) {
        cam_text_add(out, "%s", EIGHTHS[eighths % 8]);
        cells++;
    }
    for (int i = cells; i < width; i++) {
        cam_text_add(out, "%s", unicode ? "░" : ".");
    }
}

static bool is_finite(double value)
{
    return __builtin_isfinite(value);
}

void render_curve(struct cam_text *out, const double *values, size_t count, int width, bool unicode)
{
    static const char *const BLOCKS[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const LETTERS[] = {"_", ".", "-", "=", "+", "*", "%", "#"};
    enum { LEVELS = 8 };
    double least = 0;
    double most = 0;
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (is_finite(values[i])) {
            least = !any || values[i] < least ? values[i] : least;
            most = !any || values[i] > most ? values[i] : most;
            any = true;
        }
    }
    size_t cells = count < (size_t)width ? count : (size_t)width;
    for (size_t cell = 0; any && cell < cells; cell++) {
        size_t from = cell * count / cells;
        size_t to = (cell + 1) * count / cells;
        double sum = 0;
        for (size_t i = from; i < to; i++) {
            sum += values[i];
        }
        double mean = sum / (double)(to - from);
        if (!is_finite(mean)) {
            cam_text_add(out, "!");
            continue;
        }
        double share = most > least ? (mean - least) / (most - least) : 0.5;
        int level = (int)(share * (LEVELS - 1) + 0.5);
        cam_text_add(out, "%s", unicode ? BLOCKS[level] : LETTERS[level]);
    }
}

size_t render_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xC0) != 0x80;
    }
    return width;
}

/* The widest text of a column, its title among them. */
static size_t column_width(const struct render_column *columns, size_t column_count, size_t column,
                           const char *const *cells, size_t row_count)
{
    size_t width = render_width(columns[column].title);
    for (size_t row = 0; row < row_count; row++) {
        size_t mine = render_width(cells[row * column_count + column]);
        width = mine > width ? mine : width;
    }
    return width;
}

static void add_cell(struct cam_text *out, const char *text, size_t width, bool right, bool last)
{
    int padding = (int)(width - render_width(text));
    if (right) {
        cam_text_add(out, "%*s%s", padding, "", text);
    } else if (last) {
        cam_text_add(out, "%s", text);
    } else {
        cam_text_add(out, "%s%*s", text, padding, "");
    }
    cam_text_add(out, "%s", last ? "\n" : "  ");
}

void render_table(struct cam_text *out, const struct render_column *columns, size_t column_count,
                  const char *const *cells, size_t row_count)
{
    enum { COLUMNS_MAX = 16 };
    size_t widths[COLUMNS_MAX] = {0};
    for (size_t c = 0; c < column_count && c < COLUMNS_MAX; c++) {
        widths[c] = column_width(columns, column_count, c, cells, row_count);
        add_cell(out, columns[c].title, widths[c], columns[c].right, c + 1 == column_count);
    }
    for (size_t row = 0; row < row_count; row++) {
        for (size_t c = 0; c < column_count && c < COLUMNS_MAX; c++) {
            add_cell(out, cells[row * column_count + c], widths[c], columns[c].right,
                     c + 1 == column_count);
        }
    }
}

bool render_is_unicode(void)
{
    static const char *const NAMES[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        const char *value = getenv(NAMES[i]);
        if (value != NULL && value[0] != '\0') {
            return strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL;
        }
    }
    return true;
}
