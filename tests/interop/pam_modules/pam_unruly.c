/* A module that does to its process what no module should. The first argument says what; it accepts whoever it leaves alive.
 *
 * segfault, exit, abort
 * hang, hang-deaf       for ever; deaf to signals too, with a child that hangs as well and holds every descriptor
 * spin                  for ever, at full speed
 * print                 40 KB to standard output and error, through stdio and directly
 * leak                  10 MB
 * leak-descriptors      50 of them
 * close-descriptors     everybody's, from 3 on
 * child                 leaves one behind that holds every descriptor
 *
 * for=NAME: only where PAM_USER is this one; others are accepted at once.
 */
#include <fcntl.h>
#include <security/pam_modules.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void hang(void)
{
	for (;;)
		pause();
}

static void hang_deaf(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	fork();
	hang();
}

static void print(void)
{
	for (int i = 0; i < 1000; i++) {
		printf("%-40s", "not for anybody's eyes");
		if (write(STDERR_FILENO, "not for anybody's eyes\n", 23) < 0)
			break;
	}
	fflush(stdout);
}

static void leak(void)
{
	size_t size = 10 << 20;
	char *lost = malloc(size);

	if (lost)
		memset(lost, 1, size);
}

static void leak_descriptors(void)
{
	for (int i = 0; i < 50; i++)
		if (open("/dev/null", O_RDONLY) < 0)
			break;
}

static void misbehave(const char *how)
{
	if (strcmp(how, "segfault") == 0)
		raise(SIGSEGV);
	else if (strcmp(how, "exit") == 0)
		exit(0);
	else if (strcmp(how, "abort") == 0)
		abort();
	else if (strcmp(how, "hang") == 0)
		hang();
	else if (strcmp(how, "hang-deaf") == 0)
		hang_deaf();
	else if (strcmp(how, "spin") == 0)
		for (volatile unsigned long turns = 0;; turns++)
			;
	else if (strcmp(how, "print") == 0)
		print();
	else if (strcmp(how, "leak") == 0)
		leak();
	else if (strcmp(how, "leak-descriptors") == 0)
		leak_descriptors();
	else if (strcmp(how, "close-descriptors") == 0)
		for (int descriptor = 3; descriptor < 1024; descriptor++)
			close(descriptor);
	else if (strcmp(how, "child") == 0) {
		if (fork() == 0)
			hang();
	}
}

int pam_sm_authenticate(pam_handle_t *handle, int flags, int argc, const char **argv)
{
	const void *user = NULL;

	(void)flags;
	pam_get_item(handle, PAM_USER, &user);
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "for=", 4) == 0 && (user == NULL || strcmp(user, argv[i] + 4) != 0))
			return PAM_SUCCESS;
	if (argc)
		misbehave(argv[0]);
	return PAM_SUCCESS;
}

int pam_sm_acct_mgmt(pam_handle_t *handle, int flags, int argc, const char **argv)
{
	(void)handle, (void)flags, (void)argc, (void)argv;
	return PAM_SUCCESS;
}

int pam_sm_setcred(pam_handle_t *handle, int flags, int argc, const char **argv)
{
	(void)handle, (void)flags, (void)argc, (void)argv;
	return PAM_SUCCESS;
}
