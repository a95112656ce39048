"""The programs of the stand-in images: shell scripts that do in small what the real ones do, so that what comes out can be checked.

Pictures are plain PPM, films are lines `SECOND V|A TEXT`, repositories and wheels are tar archives, object storage is HTTP with
a password. What a script does not know of the real program's arguments it refuses.
"""

from __future__ import annotations

WGET = r"""#!/bin/sh
# busybox is linked statically and so finds no names: they are replaced by addresses before it is asked.
for argument; do
  shift
  host=$(echo "$argument" | sed -n 's,^http://\([^/]*@\)\{0\,1\}\([^:/]*\).*,\2,p')
  case $host in
    *[a-z]*)
      address=$(nslookup "$host" 2>/dev/null | awk '/^Name/ { named = 1 } named && /^Address/ { print $2; exit }')
      [ "$address" ] || { echo "wget: bad address '$host'" >&2; exit 1; }
      argument=$(echo "$argument" | sed "s,^\(http://\([^/]*@\)\{0\,1\}\)$host,\1$address,") ;;
  esac
  set -- "$@" "$argument"
done
exec /bin/wget -T 10 "$@"
"""
NC = r"""#!/bin/sh
# nc HOST PORT by address, as wget above; nc -l -p PORT as it is
[ "$1" = -l ] && exec /bin/nc "$@"
address=$(nslookup "$1" 2>/dev/null | awk '/^Name/ { named = 1 } named && /^Address/ { print $2; exit }')
exec /bin/nc "${address:?bad address $1}" "$2"
"""
CONVERT = r"""#!/bin/sh
# convert IN -resize Wx -strip OUT, by nearest neighbour
[ $# = 5 ] && [ "$2" = -resize ] && [ "$4" = -strip ] || { echo "convert: unknown arguments: $*" >&2; exit 64; }
awk -v width="${3%x}" '
  { for (i = 1; i <= NF; i++) token[n++] = $i }
  END {
    if (token[0] != "P3") exit 1
    height = int(token[2] * width / token[1])
    print "P3"; print width, height; print token[3]
    for (y = 0; y < height; y++) for (x = 0; x < width; x++) {
      pixel = 4 + 3 * (int(y * token[2] / height) * token[1] + int(x * token[1] / width))
      print token[pixel], token[pixel + 1], token[pixel + 2]
    }
  }' "$1" > "$5" || { echo "convert: $1 is not a plain PPM" >&2; exit 1; }
"""
IDENTIFY = r"""#!/bin/sh
# identify -format %wx%h FILE
[ "$1 $2" = "-format %wx%h" ] || { echo "identify: unknown arguments: $*" >&2; exit 64; }
awk 'NR == 2 { printf "%sx%s", $1, $2; exit }' "$3"
"""
FFMPEG = r"""#!/bin/sh
# Splits the picture, encodes picture or sound (in capitals), or puts pieces and sound together: as its options say.
inputs=0 kind=V what=encode
while [ $# -gt 1 ]; do
  case $1 in
    -i) inputs=$((inputs + 1)); eval "input$inputs=\$2"; shift ;;
    -f) what=$2; shift ;;
    -segment_time) seconds=$2; shift ;;
    -vn) kind=A ;;
    -an|-y) ;;
    -v|-c|-c:v|-c:a|-b:a|-crf|-safe|-reset_timestamps) shift ;;
    *) echo "ffmpeg: unknown option $1" >&2; exit 64 ;;
  esac
  shift
done
[ -s "$input1" ] || { echo "$input1: No such file or directory" >&2; exit 1; }
case $what in
  segment) awk -v seconds="$seconds" -v names="$1" '$2 == "V" { print > sprintf(names, int($1 / seconds)) }' "$input1" ;;
  encode) awk -v kind="$kind" '$2 == kind { print toupper($0) }' "$input1" > "$1" ;;
  concat)
    sed "s/^file '\(.*\)'$/\1/" "$input1" | while read -r piece; do cat "$(dirname "$input1")/$piece"; done > "$1.part"
    sort -n "$1.part" "$input2" > "$1" && rm "$1.part" ;;
esac
"""
GIT = r"""#!/bin/sh
# git --version; git clone --quiet --depth 1 --branch BRANCH URL PLACE, where BRANCH.tar lies below the URL
case $1 in
  --version) echo "git version 2.47.2" ;;
  clone)
    [ "$2 $3 $4 $5" = "--quiet --depth 1 --branch" ] || { echo "git: unknown arguments: $*" >&2; exit 64; }
    wget -q -O - "$7/$6.tar" | tar -x -C "$8" || { echo "fatal: Remote branch $6 not found" >&2; exit 128; } ;;
  *) echo "git: '$1' is not a git command" >&2; exit 1 ;;
esac
"""
PIP = r"""#!/bin/sh
# pip wheel … --wheel-dir DIR SOURCE packs the source; pip install … WHEEL … unpacks it to /usr/lib/python
for last; do :; done
case $1 in
  wheel)
    [ -f "$last/pyproject.toml" ] || { echo "ERROR: $last does not appear to be a Python project" >&2; exit 1; }
    mkdir -p "$5"
    [ "$4" = --wheel-dir ] && tar -c -f "$5/$(sed -n 's/^name = "\(.*\)"/\1/p' "$last/pyproject.toml").whl" -C "$last/src" . ;;
  install)
    mkdir -p /usr/lib/python
    for wheel; do case $wheel in *.whl) tar -x -f "$wheel" -C /usr/lib/python || exit 1 ;; esac; done ;;
  *) exit 64 ;;
esac
"""
PYTHON = r"""#!/bin/sh
# python -m pytest -q --junit-xml=REPORT runs tests/test_*.sh, which find what pip has installed in $LIBRARY
[ "$1 $2 $3" = "-m pytest -q" ] || { echo "python: unknown arguments: $*" >&2; exit 64; }
passed=0 failed=0
for test in tests/test_*.sh; do
  if LIBRARY=/usr/lib/python sh "$test"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $test"; fi
done
echo "<testsuite tests='$((passed + failed))' failures='$failed'/>" > "${4#--junit-xml=}"
echo "$failed failed, $passed passed"
[ "$failed" = 0 ]
"""
NGINX = r"""#!/bin/sh
echo "$0: Configuration complete; ready for start up"
exec httpd -f -v -p 80 -h /usr/share/nginx/html
"""
NGINX_PAGE = """<!DOCTYPE html>
<html><head>
<title>Welcome to nginx!</title>
</head><body>It works.</body></html>
"""
MINIO = r"""#!/bin/sh
# minio server DIR: objects are files below DIR, for whoever knows the root user's password
[ "$1" = server ] || exit 64
mkdir -p "$2" /www/cgi-bin /www/minio/health
: > /www/minio/health/ready
cp /usr/local/bin/minio-object /www/cgi-bin/object
echo "/cgi-bin:$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD" > /etc/httpd.conf
echo "API: http://0.0.0.0:9000"
DATA=$2 exec httpd -f -p 9000 -h /www -c /etc/httpd.conf
"""
MINIO_OBJECT = r"""#!/bin/sh
# One request: the query is the action and the name of a bucket or object.
name=${QUERY_STRING#*=} status="200 OK"
case $name in *..*) name=nothing ;; esac
body() { :; }
case ${QUERY_STRING%%=*} in
  list) ;;
  bucket) mkdir -p "/data/$name" ;;
  put) [ -d "/data/${name%%/*}" ] && head -c "$CONTENT_LENGTH" > "/data/$name" || status="404 Not Found" ;;
  get) [ -f "/data/$name" ] && body() { cat "/data/$name"; } || status="404 Not Found" ;;
  delete) rm "/data/$name" 2>/dev/null || status="404 Not Found" ;;
  *) status="400 Bad Request" ;;
esac
printf 'Status: %s\r\nContent-Type: application/octet-stream\r\n\r\n' "$status"
body
"""
MC = r"""#!/bin/sh
# mc --quiet alias set|mb|pipe|cat|rm, with one alias
[ "$1" = --quiet ] && shift
ask() { wget -q -O - "$@" "$(cat /tmp/.mc-url)/cgi-bin/object?$action=$name"; }
for last; do :; done
name=${last#store/}
case $1 in
  alias)
    echo "http://$5:$6@${4#http://}" > /tmp/.mc-url
    action=list name= ask > /dev/null || { echo "mc: <ERROR> Unable to initialize new alias from the provided credentials." >&2; exit 1; }
    echo "Added \`$3\` successfully." ;;
  mb) action=bucket; ask && echo "Bucket created successfully \`$last\`." ;;
  pipe) action=put; cat > /tmp/object; ask --post-file /tmp/object && echo "$(wc -c < /tmp/object) bytes -> \`$last\`" ;;
  cat) action=get; ask ;;
  rm) action=delete; ask && echo "Removed \`$last\`." ;;
  *) exit 64 ;;
esac || { echo "mc: <ERROR> Object does not exist." >&2; exit 1; }
"""
OS_RELEASE = 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.21.3\nPRETTY_NAME="Alpine Linux v3.21"\n'
