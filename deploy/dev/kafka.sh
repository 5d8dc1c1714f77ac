# shellcheck shell=bash
#
# Apache Kafka, broker and controller in one JVM (KRaft), from the jars of Maven
# Central. 4.4.0 of those tried needs the least memory.

KAFKA_VERSION=4.4.0
KAFKA_HEAP=${OPENIM_KAFKA_HEAP:-320m}
KAFKA_PARTITIONS=${OPENIM_PARTITIONS:-8}

DAY=$((24 * 3600 * 1000))
#              name           retention in ms
KAFKA_TOPICS=" openim.msg     $((3 * DAY))
               openim.rpc     $((3 * DAY))
               openim.stored  $((7 * DAY))"


kafka_external() { ! own OPENIM_KAFKA_BROKERS; }
kafka_address() { echo "$OPENIM_KAFKA_BROKERS"; }


kafka_ready() {
    kafka_metadata | grep -q ' brokers:'
}


kafka_metadata() {
    kcat -L -b "$OPENIM_KAFKA_BROKERS" -m 2 -X socket.connection.setup.timeout.ms=1000 2>/dev/null
}


# The jars of kafka.pom.xml, in $CACHE/kafka/VERSION; a half-done copy has
# another name.
kafka_fetch() {
    local new=$CACHE/kafka/new
    rm -rf "$new"
    mkdir -p "$new"
    mvn -q -B -f "$ROOT/deploy/dev/kafka.pom.xml" -Dkafka.version=$KAFKA_VERSION \
        dependency:copy-dependencies -DoutputDirectory="$new" \
        -DincludeScope=runtime
    mv "$new" "$CACHE/kafka/$KAFKA_VERSION"
}


# kafka_java OPTION... CLASS ARGUMENT...
kafka_java() {
    java -cp "$CACHE/kafka/$KAFKA_VERSION/*" "$@"
}


kafka_properties() {
    cat <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$KAFKA_CONTROLLER_PORT
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
advertised.listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$DATA/kafka

# one node: one copy of everything
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
min.insync.replicas=1

auto.create.topics.enable=false
num.partitions=$KAFKA_PARTITIONS
message.max.bytes=2097152

# a killed broker is let in again when its old session has ended (9 s else)
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500

# a worker that comes back is served at once, one that died is replaced soon
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000

# two cores, little memory
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=16777216
END
}


kafka_start() {
    local dir=$DATA/kafka properties=$DATA/kafka.properties
    mkdir -p "$dir"
    kafka_properties >"$properties"
    if [[ ! -e $dir/meta.properties ]]; then
        # Without eligible leader replicas: they would make a killed broker that
        # is the only one leave its own partitions without a leader for a while.
        kafka_java kafka.tools.StorageTool format -c "$properties" \
            --feature eligible.leader.replicas.version=0 \
            -t "$(kafka_java kafka.tools.StorageTool random-uuid)"
    fi
    spawn kafka root java -Xms"$KAFKA_HEAP" -Xmx"$KAFKA_HEAP" \
        -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:+ExitOnOutOfMemoryError \
        -Dorg.slf4j.simpleLogger.showDateTime=true \
        -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS \
        -Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn \
        -cp "$CACHE/kafka/$KAFKA_VERSION/*" kafka.Kafka "$properties"
}


# Creates the topics that are not there. Asking first with kcat saves the start
# of a JVM each time.
kafka_prepare() {
    local have topic retention jobs=() job
    have=$(kafka_metadata)
    while read -r topic retention; do
        [[ $have != *"topic \"$topic\" "* ]] || continue
        kafka_java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
            org.apache.kafka.tools.TopicCommand --bootstrap-server "$OPENIM_KAFKA_BROKERS" \
            --create --if-not-exists --topic "$topic" --partitions "$KAFKA_PARTITIONS" \
            --config retention.ms="$retention" --config max.message.bytes=2097152 \
            --config min.insync.replicas=1 </dev/null &
        jobs+=($!)
    done <<<"$KAFKA_TOPICS"
    for job in "${jobs[@]}"; do
        wait "$job"
    done
}
