namespace VmShunt.Ring.VhostUser;

/// <summary>Front-end requests, with the numbers of QEMU's <c>docs/interop/vhost-user.rst</c>.</summary>
public enum VhostUserRequest : uint
{
    /// <summary>The device's feature bits.</summary>
    GetFeatures = 1,

    /// <summary>The driver's choice of them.</summary>
    SetFeatures = 2,

    /// <summary>The front-end takes the session.</summary>
    SetOwner = 3,

    /// <summary>Deprecated; stops everything.</summary>
    ResetOwner = 4,

    /// <summary>All memory regions at once, a descriptor each.</summary>
    SetMemTable = 5,

    /// <summary>Dirty log memory.</summary>
    SetLogBase = 6,

    /// <summary>Dirty log event.</summary>
    SetLogFd = 7,

    /// <summary>A ring's size.</summary>
    SetVringNum = 8,

    /// <summary>A ring's three addresses.</summary>
    SetVringAddr = 9,

    /// <summary>Where in the ring to start.</summary>
    SetVringBase = 10,

    /// <summary>Stops a ring and asks where it is.</summary>
    GetVringBase = 11,

    /// <summary>The driver's eventfd.</summary>
    SetVringKick = 12,

    /// <summary>The device's eventfd.</summary>
    SetVringCall = 13,

    /// <summary>The error eventfd.</summary>
    SetVringErr = 14,

    /// <summary>The back-end's protocol features.</summary>
    GetProtocolFeatures = 15,

    /// <summary>The front-end's choice of them.</summary>
    SetProtocolFeatures = 16,

    /// <summary>How many queues there may be.</summary>
    GetQueueNum = 17,

    /// <summary>Switches a ring on or off.</summary>
    SetVringEnable = 18,

    /// <summary>A socket for the back-end's own requests.</summary>
    SetBackendReqFd = 21,

    /// <summary>Reads device configuration space.</summary>
    GetConfig = 24,

    /// <summary>Writes device configuration space.</summary>
    SetConfig = 25,

    /// <summary>Memory for requests in flight.</summary>
    GetInflightFd = 31,

    /// <summary>Gives that memory back after a reconnect.</summary>
    SetInflightFd = 32,

    /// <summary>Resets the device.</summary>
    ResetDevice = 34,

    /// <summary>How many memory regions the back-end can hold.</summary>
    GetMaxMemSlots = 36,

    /// <summary>Adds one memory region.</summary>
    AddMemReg = 37,

    /// <summary>Removes one memory region.</summary>
    RemMemReg = 38,

    /// <summary>The virtio device status.</summary>
    SetStatus = 39,

    /// <summary>The virtio device status.</summary>
    GetStatus = 40,
}

/// <summary>Requests of the back-end, on the socket that SET_BACKEND_REQ_FD gave it.</summary>
public enum VhostUserBackendRequest : uint
{
    /// <summary>Device configuration space has changed (VHOST_USER_BACKEND_CONFIG_CHANGE_MSG).</summary>
    ConfigChange = 2,
}

/// <summary>Protocol features: what the two ends may say to each other.</summary>
[Flags]
public enum VhostUserProtocolFeatures : ulong
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>GET_QUEUE_NUM, several rings.</summary>
    MultiQueue = 1UL << 0,

    /// <summary>Any message may ask for an acknowledgement.</summary>
    ReplyAck = 1UL << 3,

    /// <summary>SET_BACKEND_REQ_FD: the back-end may make requests of its own.</summary>
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
}
