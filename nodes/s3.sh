# shellcheck shell=sh
# shellcheck disable=SC2015,SC2034,SC2154 # A && B || C is meant so; the scripts read what is set here, and nodes/lib.sh sets what is read here
# S3 for the scripts that back up and restore, by curl (7.76 or later; what it signs has been checked with 7.88). It does nothing by itself.
#
# Credentials are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN when they are set, otherwise those of the instance's
# role, by IMDSv2. They reach curl by its standard input, never as an argument, which everybody on the host could read.

# The body of a request without one: SHA-256 of nothing.
REJOIN_S3_EMPTY=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

# $1: bucket. Sets rejoin_s3_base, the URL in front of keys, and rejoin_s3_region.
rejoin_s3_load() {
  rejoin_is "$1" '[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]' || rejoin_fail 64 "Bucket is '$1'; expected the name of an S3 bucket"
  if ! command -v curl >/dev/null || ! command -v zstd >/dev/null; then
    rejoin_fail 64 'curl or zstd is not installed; expected both. Install the packages that docs/hosts.md lists'
  fi
  rejoin_imds=${REJOIN_IMDS:-http://169.254.169.254}
  rejoin_s3_until=0
  rejoin_s3_region=${REJOIN_REGION:-${AWS_REGION:-}}
  [ -n "$rejoin_s3_region" ] || rejoin_s3_region=$(rejoin_metadata placement/region)
  rejoin_is "$rejoin_s3_region" '[a-z]{2}(-[a-z]+)+-[0-9]+' ||
    rejoin_fail 64 "REJOIN_REGION is '$rejoin_s3_region'; expected a region, such as eu-central-1, in $REJOIN_NODE_ENV or from the instance's metadata"
  rejoin_s3_domain=amazonaws.com
  case $rejoin_s3_region in cn-*) rejoin_s3_domain=amazonaws.com.cn ;; esac
  rejoin_s3_base=https://$1.s3.$rejoin_s3_region.$rejoin_s3_domain
  [ -z "${REJOIN_S3_ENDPOINT:-}" ] || rejoin_s3_base=${REJOIN_S3_ENDPOINT%/}/$1
}

# What the instance's metadata service says at path $1.
rejoin_metadata() {
  rejoin_token=$(printf 'header = "X-aws-ec2-metadata-token-ttl-seconds: 300"\n' |
    curl --config - --silent --show-error --fail --max-time 5 --retry 3 --retry-connrefused --retry-delay 1 --request PUT "$rejoin_imds/latest/api/token") ||
    rejoin_fail 60 "no token from $rejoin_imds; expected IMDSv2 (MetadataOptions.HttpEndpoint=enabled), or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in $REJOIN_NODE_ENV"
  printf 'header = "X-aws-ec2-metadata-token: %s"\n' "$rejoin_token" |
    curl --config - --silent --show-error --fail --max-time 5 --retry 3 --retry-delay 1 "$rejoin_imds/latest/meta-data/$1" ||
    rejoin_fail 60 "no $1 from $rejoin_imds; expected what an instance with an instance profile has. Give this instance's role the rights that docs/hosts.md lists"
}

# Sets rejoin_s3_id, rejoin_s3_secret and rejoin_s3_token, anew when they run out within five minutes.
rejoin_s3_credentials() {
  if [ -n "${AWS_ACCESS_KEY_ID:-}" ]; then
    rejoin_s3_id=$AWS_ACCESS_KEY_ID rejoin_s3_secret=${AWS_SECRET_ACCESS_KEY:-} rejoin_s3_token=${AWS_SESSION_TOKEN:-}
    return 0
  fi
  [ "$(date +%s)" -ge "$rejoin_s3_until" ] || return 0
  rejoin_role=$(rejoin_metadata iam/security-credentials/) || exit 60
  rejoin_answer=$(rejoin_metadata "iam/security-credentials/$rejoin_role") || exit 60
  rejoin_field() { printf '%s' "$rejoin_answer" | tr -d '\n' | sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"; }
  rejoin_s3_until=$(($(date -d "$(rejoin_field Expiration)" +%s) - 300))
  rejoin_s3_id=$(rejoin_field AccessKeyId) rejoin_s3_secret=$(rejoin_field SecretAccessKey) rejoin_s3_token=$(rejoin_field Token)
  case $rejoin_s3_id:$rejoin_s3_secret in ?*:?*) return 0 ;; esac
  rejoin_s3_until=0
  rejoin_fail 60 "the metadata service has no credentials for the role $rejoin_role; expected AccessKeyId and SecretAccessKey. Does the instance profile have a role"
}

# A key as part of a URL. Keys of the archive hold nothing else.
rejoin_s3_path() {
  rejoin_is "$1" '[A-Za-z0-9._~/,-]{1,1024}' || rejoin_fail 64 "'$1' is no key of the archive; expected letters, digits and . _ ~ / , -"
  printf '%s' "$1" | sed 's/,/%2C/g'
}

# What every request has, as curl reads it. $1: SHA-256 of its body.
rejoin_s3_config() {
  printf 'user = "%s:%s"\naws-sigv4 = "aws:amz:%s:s3"\nheader = "x-amz-content-sha256: %s"\n' \
    "$rejoin_s3_id" "$rejoin_s3_secret" "$rejoin_s3_region" "$1"
  [ -z "$rejoin_s3_token" ] || printf 'header = "x-amz-security-token: %s"\n' "$rejoin_s3_token"
  printf 'silent\nshow-error\nconnect-timeout = 5\nspeed-limit = 1024\nspeed-time = 30\nexpect100-timeout = 0.5\n'
}

# $1: file for the body of the answer; $2: SHA-256 of the request's body; $3: URL; $4: more lines of configuration. Sets rejoin_status (000: no
# answer) and rejoin_etag. Tries again what may pass: no answer, an answer cut off, 5xx, too many requests, credentials that ran out.
rejoin_s3_request() {
  rejoin_attempt=1
  while :; do
    rejoin_s3_credentials
    rejoin_code=0
    # In front of the URL: options that come later would not count for it.
    rejoin_out=$({
      rejoin_s3_config "$2"
      printf '%s\nurl = "%s"\noutput = "%s"\n' "$4" "$3" "$1"
      printf 'write-out = "%%{http_code} %%header{etag}"\n'
    } | curl --config - 2>"$1.err") || rejoin_code=$?
    rejoin_status=${rejoin_out%% *}
    rejoin_etag=${rejoin_out#* }
    case $rejoin_code:$rejoin_status in
      0:2?? | 0:404 | 0:412) break ;;
      0:403) [ -z "${AWS_ACCESS_KEY_ID:-}" ] && grep -q ExpiredToken "$1" || break ;;
      0:400) grep -Eq 'ExpiredToken|RequestTimeout' "$1" || break ;;
      0:429 | 0:409 | 0:5??) ;;
      0:*) break ;;
      *) [ "$rejoin_code" = 0 ] || rejoin_status=000 ;;
    esac
    rejoin_s3_until=0
    [ "$rejoin_attempt" -lt "${REJOIN_S3_ATTEMPTS:-7}" ] || break
    sleep "$(awk -v n="$rejoin_attempt" 'BEGIN { srand(); print (0.2 * 2 ^ n) * (0.75 + rand() / 2) }')"
    rejoin_attempt=$((rejoin_attempt + 1))
  done
}

# Ends the script: what was asked of S3 ($1), which was answered into file $2.
rejoin_s3_refused() {
  rejoin_why=$(cut -c 1-300 "$2.err" 2>/dev/null | head -n 3)
  [ "$rejoin_status" = 000 ] || rejoin_why=$(head -c 2000 "$2" 2>/dev/null | tr '\n' ' ' | sed -n 's/.*<Code>\([^<]*\)<.*<Message>\([^<]*\)<.*/\1: \2/p')
  rm -f "$2"
  rejoin_fail 60 "S3 does not let this host $1 (status $rejoin_status after $rejoin_attempt attempts): $rejoin_why. Check the role's rights (docs/hosts.md), the bucket's region ($rejoin_s3_region) and the way to $rejoin_s3_base"
}

# $1: key, $2: file; $3 and $4, if given: bytes from (with) and to (without).
rejoin_s3_get() {
  rejoin_range=
  [ $# -lt 4 ] || rejoin_range="range = \"$3-$(($4 - 1))\""
  rejoin_s3_request "$2" "$REJOIN_S3_EMPTY" "$rejoin_s3_base/$(rejoin_s3_path "$1")" "$rejoin_range" || return
  case $#:$rejoin_status in 2:200 | 4:206) ;; *) rejoin_s3_refused "read s3 $1" "$2" ;; esac
  [ $# -lt 4 ] || [ "$(wc -c <"$2")" -eq $(($4 - $3)) ] || rejoin_fail 60 "S3 gave $(wc -c <"$2") bytes of $1 for bytes $3 to $4; expected $(($4 - $3))"
  rm -f "$2.err"
}

# Many objects at once by one curl, which keeps its connections. Standard input: lines of key and file, tab-separated. Files that did not come
# whole are not there afterwards; ask for them again by rejoin_s3_get.
rejoin_s3_get_many() {
  rejoin_s3_credentials
  {
    rejoin_s3_config "$REJOIN_S3_EMPTY"
    printf 'parallel\nparallel-max = %s\nwrite-out = "%%{http_code} %%{exitcode} %%{filename_effective}\\n"\n' "${REJOIN_S3_CONNECTIONS:-16}"
    sed 's/,/%2C/g' | awk -F '\t' -v base="$rejoin_s3_base" '{ printf "url = \"%s/%s\"\noutput = \"%s\"\n", base, $1, $2 }'
  } | curl --config - 2>/dev/null | while read -r status code file; do
    [ "$status $code" = '200 0' ] || rm -f "$file"
  done
}

# SHA-256 of standard input, in hexadecimal. openssl is several times as fast as sha256sum without its own use of the processor's instructions.
rejoin_sha256() {
  if command -v openssl >/dev/null; then openssl dgst -sha256 -r; else sha256sum; fi | cut -c 1-64
}
rejoin_base64_of_hex() {
  # shellcheck disable=SC2059 # the octal numbers are the format
  printf "$(printf '%s' "$1" | awk '{ for (i = 1; i < length($0); i += 2) { h = index("123456789abcdef", substr($0, i, 1)) * 16 + index("123456789abcdef", substr($0, i + 1, 1)); printf "\\%03o", h } }')" | base64
}

# $1: key, $2: upload id, $3: number, $4: file, $5: its SHA-256. Sets rejoin_etag. S3 refuses a part that is not of this checksum.
rejoin_s3_put_part() {
  rejoin_upload=$(printf '%s' "$2" | sed 's/+/%2B/g; s|/|%2F|g; s/=/%3D/g')
  # The order of names is that of the signature.
  rejoin_s3_request "$4.answer" "$5" "$rejoin_s3_base/$(rejoin_s3_path "$1")?partNumber=$3&uploadId=$rejoin_upload" \
    "$(printf 'header = "x-amz-checksum-sha256: %s"\nupload-file = "%s"' "$(rejoin_base64_of_hex "$5")" "$4")"
  [ "$rejoin_status" = 200 ] || rejoin_s3_refused "put part $3 of $1" "$4.answer"
  rm -f "$4.answer" "$4.answer.err"
}

# $1: key, $2: file. A new object of a few kilobytes; refused when there is one by that name.
rejoin_s3_put_new() {
  rejoin_sum=$(rejoin_sha256 <"$2")
  rejoin_s3_request "$2.answer" "$rejoin_sum" "$rejoin_s3_base/$(rejoin_s3_path "$1")" \
    "$(printf 'header = "If-None-Match: *"\nheader = "x-amz-checksum-sha256: %s"\nupload-file = "%s"' "$(rejoin_base64_of_hex "$rejoin_sum")" "$2")"
  case $rejoin_status in
    200) ;;
    412)
      # An answer that was lost may have been of our own first attempt.
      rejoin_s3_get "$1" "$2.there"
      cmp -s "$2" "$2.there" ||
        rejoin_fail 60 "s3 $1 exists already and is another; expected none. Nothing is overwritten: begin a new backup, with a key of its own"
      rm -f "$2.there"
      ;;
    *) rejoin_s3_refused "put s3 $1" "$2.answer" ;;
  esac
  rm -f "$2.answer" "$2.answer.err"
}
