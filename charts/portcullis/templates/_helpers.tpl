{{- /* Names start with the release's, and say portcullis once. */ -}}
{{- define "portcullis.fullname" -}}
{{- if contains "portcullis" .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-portcullis" (.Release.Name | trunc 29 | trimSuffix "-") }}
{{- end -}}
{{- end -}}

{{- define "portcullis.selectorLabels" -}}
app.kubernetes.io/name: portcullis-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "portcullis.labels" -}}
{{ include "portcullis.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: portcullis
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* The reference of `image`, with the appVersion of `root` where nothing else is said. */ -}}
{{- define "portcullis.image" -}}
{{- with .image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.root.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end -}}

{{- /* The restricted pod security standard, and a read-only root. */ -}}
{{- define "portcullis.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 64181
runAsGroup: 64181
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "portcullis.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* CEL: the maps `now` and `before` are equal but for the key `except`. */ -}}
{{- define "portcullis.onlyChanges" -}}
{{ .now }}.all(k, k == '{{ .except }}' || {{ .before }}[?k] == optional.of({{ .now }}[k])) && {{ .before }}.all(k, k == '{{ .except }}' || k in {{ .now }})
{{- end -}}

{{- /* The part that all bounds of the operator's ServiceAccount have in common. */ -}}
{{- define "portcullis.boundsOperator" -}}
failurePolicy: Fail
matchConditions:
- name: operator
  expression: request.userInfo.username == 'system:serviceaccount:{{ .Release.Namespace }}:{{ include "portcullis.fullname" . }}'
{{- end -}}
