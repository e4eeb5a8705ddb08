/* A module that answers as its arguments say, and notes what it was given.
 *
 * auth=N account=N      the codes to return (0)
 * secret=TEXT           auth=0 only with this secret, else 7; without it no secret is asked for
 * prompt=latin1         ask for it with a prompt, after a message, that are no UTF-8
 * delay=MICROSECONDS    pam_fail_delay(3)
 * user=NAME             change PAM_USER to this
 * note=FILE             append a line for each call: function, items, flags
 */
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *argument(const char *name, int argc, const char **argv)
{
	size_t length = strlen(name);

	for (int i = 0; i < argc; i++)
		if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=')
			return argv[i] + length + 1;
	return NULL;
}

static const char *item(pam_handle_t *handle, int number)
{
	const void *value = NULL;

	pam_get_item(handle, number, &value);
	return value ? value : "-";
}

static void note(pam_handle_t *handle, const char *function, int flags, int argc, const char **argv)
{
	const char *path = argument("note", argc, argv);
	FILE *file = path ? fopen(path, "a") : NULL;

	if (file == NULL)
		return;
	fprintf(file, "%s service=%s user=%s rhost=%s tty=%s xdisplay=%s flags=%#x\n", function, item(handle, PAM_SERVICE),
		item(handle, PAM_USER), item(handle, PAM_RHOST), item(handle, PAM_TTY), item(handle, PAM_XDISPLAY), (unsigned)flags);
	fclose(file);
}

static int number(const char *name, int argc, const char **argv)
{
	const char *text = argument(name, argc, argv);

	return text ? atoi(text) : 0;
}

int pam_sm_authenticate(pam_handle_t *handle, int flags, int argc, const char **argv)
{
	const char *wanted = argument("secret", argc, argv), *given = NULL, *user = argument("user", argc, argv);
	char *typed = NULL;
	int right = 1;

	note(handle, "authenticate", flags, argc, argv);
	if (number("delay", argc, argv))
		pam_fail_delay(handle, (unsigned)number("delay", argc, argv));
	if (user)
		pam_set_item(handle, PAM_USER, user);
	if (argument("prompt", argc, argv)) {
		pam_prompt(handle, PAM_TEXT_INFO, NULL, "gr\xfc\xdf dich");
		pam_prompt(handle, PAM_PROMPT_ECHO_OFF, &typed, "Pa\xdfwort: ");
		given = typed;
	} else if (wanted) {
		pam_get_authtok(handle, PAM_AUTHTOK, &given, NULL);
	}
	if (wanted)
		right = given != NULL && strcmp(given, wanted) == 0;
	free(typed);
	return right ? number("auth", argc, argv) : PAM_AUTH_ERR;
}

int pam_sm_acct_mgmt(pam_handle_t *handle, int flags, int argc, const char **argv)
{
	note(handle, "acct_mgmt", flags, argc, argv);
	return number("account", argc, argv);
}

int pam_sm_setcred(pam_handle_t *handle, int flags, int argc, const char **argv)
{
	note(handle, "setcred", flags, argc, argv);
	return PAM_SUCCESS;
}
