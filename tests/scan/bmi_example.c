/* An example of what docs/brightmail.md describes: verdicts by the recipient's name, no SDK.

   alt...  goes to the alternate location, no... is not delivered, rule... has fired rules 5 and 8, fail... makes scanning fail,
   crash... kills the process, hang... never answers. The verdict is the number of octets, the tracker the envelope. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#ifndef INTERFACE
#define INTERFACE 1
#endif
#define MOST 16

struct session { char location[200]; };
struct message {
  struct session *session;
  size_t octets;
  unsigned count;
  char names[MOST][64];
  char tracker[200];
  char verdict[40];
  char last[2];
};

int angaros_bmi_version(void) { return INTERFACE; }

void *angaros_bmi_open(const char *config_file, char *error, size_t size) {
  struct session *s = calloc(1, sizeof *s);
  FILE *file = fopen(config_file, "r");
  if (s == NULL || file == NULL || fgets(s->location, sizeof s->location, file) == NULL) {
    snprintf(error, size, "no location in the configuration");
    return NULL;
  }
  fclose(file);
  s->location[strcspn(s->location, "\n")] = 0;
  puts("printed by the library");
  return s;
}

void *angaros_bmi_begin(void *session, const char *client, const char *helo, const char *sender) {
  struct message *m = calloc(1, sizeof *m);
  if (m == NULL) return NULL;
  m->session = session;
  snprintf(m->tracker, sizeof m->tracker, "%s|%s|%s", client, helo, sender);
  return m;
}

int angaros_bmi_recipient(void *message, const char *address) {
  struct message *m = message;
  if (m->count >= MOST) return 1;
  snprintf(m->names[m->count++], sizeof m->names[0], "%s", address);
  return 0;
}

int angaros_bmi_data(void *message, const char *octets, size_t size) {
  struct message *m = message;
  m->octets += size;
  if (size >= 2) memcpy(m->last, octets + size - 2, 2);
  return 0;
}

static int is(struct message *m, unsigned recipient, const char *word) {
  return strncasecmp(m->names[recipient], word, strlen(word)) == 0;
}

int angaros_bmi_scan(void *message) {
  struct message *m = message;
  for (unsigned n = 0; n < m->count; n++) {
    if (is(m, n, "crash")) abort();
    while (is(m, n, "hang")) pause();
    if (is(m, n, "fail")) return 7;
  }
  snprintf(m->verdict, sizeof m->verdict, "%zu%s", m->octets, memcmp(m->last, "\r\n", 2) ? "?" : "");
  return 0;
}

int angaros_bmi_action(void *message, unsigned recipient) {
  return is(message, recipient, "alt") ? 1 : is(message, recipient, "no") ? 2 : is(message, recipient, "odd") ? 9 : 0;
}

const char *angaros_bmi_alternate(void *message, unsigned recipient) {
  return is(message, recipient, "alt") ? ((struct message *)message)->session->location : NULL;
}

const char *angaros_bmi_verdict(void *message, unsigned recipient) { return ((struct message *)message)->verdict; }
const char *angaros_bmi_tracker(void *message, unsigned recipient) { return ((struct message *)message)->tracker; }

int angaros_bmi_rule(void *message, unsigned recipient, unsigned index) {
  static const int fired[] = {5, 8};
  return is(message, recipient, "rule") && index < 2 ? fired[index] : -1;
}

const char *angaros_bmi_error(void *message) { return "the scanner is out of order"; }
void angaros_bmi_end(void *message) { free(message); }
void angaros_bmi_close(void *session) { free(session); }
