#!/bin/bash
# VLC: a clip that is sent as it is, never transcoded, by an ordinary user (VLC refuses root).
. ./common.sh

useradd --create-home --shell /bin/sh streamer
install -d /srv/stream
# Five minutes at a constant 1 Mbit/s, longer than a trial: where the clip starts over VLC sends two seconds in one.
# The muxer pads up to that rate. One thread and no dates: the same bytes from the same ffmpeg.
ffmpeg -nostdin -loglevel error \
    -f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 -t 300 \
    -c:v libx264 -preset veryfast -pix_fmt yuv420p -g 50 -threads 1 -x264-params nal-hrd=cbr \
    -b:v 750k -minrate 750k -maxrate 750k -bufsize 750k -c:a aac -b:a 96k -ac 2 \
    -flags:v +bitexact -flags:a +bitexact -fflags +bitexact -muxrate 1000k -f mpegts /srv/stream/clip.ts
chmod 0644 /srv/stream/clip.ts
ls -l /srv/stream/clip.ts

./as streamer cvlc -I dummy --loop /srv/stream/clip.ts --sout '#rtp{dst=127.0.0.1,port=5004,mux=ts}' --sout-keep &
python3 - <<'END'
import socket

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 5004))
receiver.settimeout(30)
packets = [receiver.recv(2048) for _ in range(50)]
assert all(packet[0] >> 6 == 2 and packet[1] & 127 == 33 for packet in packets), "not RTP version 2, MP2T"
END
kill %1
wait || true
