namespace VmShunt.Ring.VhostUser;

/// <summary>Front-end requests, with the numbers of QEMU's <c>docs/interop/vhost-user.rst</c>.</summary>
public enum VhostUserRequest : uint
{
    /// <summary>The device's feature bits.</summary>
    GetFeatures = 1,

    /// <summary>The features that the driver accepts.</summary>
    SetFeatures = 2,

    /// <summary>Marks the sender as the owner of the session.</summary>
    SetOwner = 3,

    /// <summary>Deprecated; disables all rings.</summary>
    ResetOwner = 4,

    /// <summary>All memory regions at once, with one descriptor each.</summary>
    SetMemTable = 5,

    /// <summary>The dirty log of a migration.</summary>
    SetLogBase = 6,

    /// <summary>An eventfd for changes of the dirty log; optional, and not supported.</summary>
    SetLogFd = 7,

    /// <summary>A ring's size.</summary>
    SetVringNum = 8,

    /// <summary>A ring's three addresses.</summary>
    SetVringAddr = 9,

    /// <summary>A ring's position.</summary>
    SetVringBase = 10,

    /// <summary>Stops a ring and returns its position.</summary>
    GetVringBase = 11,

    /// <summary>The driver's eventfd.</summary>
    SetVringKick = 12,

    /// <summary>The device's eventfd.</summary>
    SetVringCall = 13,

    /// <summary>The error eventfd.</summary>
    SetVringErr = 14,

    /// <summary>The back-end's protocol features.</summary>
    GetProtocolFeatures = 15,

    /// <summary>The protocol features that the front-end accepts.</summary>
    SetProtocolFeatures = 16,

    /// <summary>The number of queues that the back-end supports.</summary>
    GetQueueNum = 17,

    /// <summary>Enables or disables a ring.</summary>
    SetVringEnable = 18,

    /// <summary>A socket for the back-end's own requests.</summary>
    SetBackendReqFd = 21,

    /// <summary>Reads from the configuration space.</summary>
    GetConfig = 24,

    /// <summary>Writes to the configuration space.</summary>
    SetConfig = 25,

    /// <summary>Allocates memory for requests in flight.</summary>
    GetInflightFd = 31,

    /// <summary>Passes that memory to the back-end, also after a reconnect.</summary>
    SetInflightFd = 32,

    /// <summary>Resets the device.</summary>
    ResetDevice = 34,

    /// <summary>The number of memory regions that the back-end supports.</summary>
    GetMaxMemSlots = 36,

    /// <summary>Adds one memory region.</summary>
    AddMemReg = 37,

    /// <summary>Removes one memory region.</summary>
    RemMemReg = 38,

    /// <summary>Writes the virtio device status.</summary>
    SetStatus = 39,

    /// <summary>Reads the virtio device status.</summary>
    GetStatus = 40,
}

/// <summary>Requests of the back-end, on the socket of SET_BACKEND_REQ_FD.</summary>
public enum VhostUserBackendRequest : uint
{
    /// <summary>The configuration space has changed (VHOST_USER_BACKEND_CONFIG_CHANGE_MSG).</summary>
    ConfigChange = 2,
}

/// <summary>Protocol features: which messages the two ends may send.</summary>
[Flags]
public enum VhostUserProtocolFeatures : ulong
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>GET_QUEUE_NUM, several rings.</summary>
    MultiQueue = 1UL << 0,

    /// <summary>SET_LOG_BASE passes the dirty log as shared memory.</summary>
    LogSharedMemory = 1UL << 1,

    /// <summary>Any message may request a reply.</summary>
    ReplyAck = 1UL << 3,

    /// <summary>SET_BACKEND_REQ_FD: the back-end may send requests.</summary>
    BackendRequests = 1UL << 5,

    /// <summary>GET_CONFIG and SET_CONFIG.</summary>
    Config = 1UL << 9,

    /// <summary>GET_INFLIGHT_FD and SET_INFLIGHT_FD.</summary>
    InflightSharedMemory = 1UL << 12,

    /// <summary>RESET_DEVICE.</summary>
    ResetDevice = 1UL << 13,

    /// <summary>ADD_MEM_REG, REM_MEM_REG, GET_MAX_MEM_SLOTS.</summary>
    ConfigureMemSlots = 1UL << 15,

    /// <summary>GET_STATUS, SET_STATUS.</summary>
    Status = 1UL << 16,

    /// <summary>
    /// A ring may stop with chains in flight in a migration, too: its record migrates (GET_VRING_BASE_INFLIGHT).
    /// </summary>
    InflightMigration = 1UL << 20,
}
