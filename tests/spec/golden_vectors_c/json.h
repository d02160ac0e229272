/* A reader of JSON for the files of golden vectors: values in memory, numbers and strings as text.
 */
#ifndef JSON_H
#define JSON_H

#include <stddef.h>

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    char *key;          /* of a member of an object */
    char *text;         /* of a number or string */
    struct json *items; /* of an array or object */
    size_t count;
};

/* Reads a file, or prints what is wrong with it, and on which line, and returns NULL. */
struct json *json_read(const char *path);

void json_free(struct json *value);

/* Returns the member of an object, or NULL. */
const struct json *json_member(const struct json *object, const char *key);

#endif
