import { KUBE_HELP } from '../kube/kube-flag-names.ts';
import { POLICY_HELP } from './policy-flags.ts';

/** What `portcullis explain --help` prints, for both of its forms. */
export const EXPLAIN_HELP = `portcullis explain POD METHOD PATH [--claims JSON | --token TOKEN] [--body FILE] [--host HOST] [--header 'NAME: VALUE']... [-o json]
portcullis explain --policies DIR --request 'METHOD PATH' [--claims JSON] [--body FILE] [--host HOST] [--header 'NAME: VALUE']... [-o json]

What would become of a request, layer by layer, with the rule that decides: by the policies that the sidecar of a pod runs now,
or by those of a directory. Nothing is sent to the application and nothing is counted.

  --claims JSON          as if a valid token with these claims came along; @FILE reads them from a file (of a directory only)
  --body FILE            with the bytes of this file as its body, 64 KiB at most; JSON unless a header says otherwise
  --host HOST            the Host of the request (default: localhost)
  --header LINE          a header; may be given several times
  -o, --output FORMAT    json; default: text
By the policies of a pod:
  --token TOKEN          with this token
${KUBE_HELP}
By the policies of a directory:
${POLICY_HELP}
  --request LINE            method and path, such as 'POST /orders'; the path with a query if there is one
  --from ADDRESS            the address it comes from (default: 127.0.0.1)
  --at INSTANT              when it comes, such as 2026-01-31T09:00:00Z (default: now)
  --help                 this text

Exit code by a directory: 0 when the request would be forwarded (or answered without a refusal), 1 when refused, 2 when that could
not be found out. By a pod: 0, or another when it could not be asked.
`;
