module traffic_light (
  input  logic clk,
  input  logic rst_n,
  input  logic request,
  output logic red,
  output logic yellow,
  output logic green,
  output logic walk
);
  localparam logic [2:0] GREEN = 3'd0, YELLOW = 3'd1, CLEARANCE = 3'd2, WALK = 3'd3, RED_YELLOW = 3'd4;

  logic [2:0] state, next;
  logic [3:0] timer;
  logic       stored;

  always_comb begin
    next = state;
    case (state)
      GREEN:     if (timer >= 4'd7 && (stored || request)) next = YELLOW;
      YELLOW:    if (timer == 4'd2) next = CLEARANCE;
      CLEARANCE: if (timer == 4'd1) next = WALK;
      WALK:      if (timer == 4'd5) next = RED_YELLOW;
      default:   if (timer == 4'd1) next = GREEN;
    endcase
  end

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) begin
      state  <= GREEN;
      timer  <= 4'd0;
      stored <= 1'b0;
    end else begin
      state <= next;
      if (next != state) timer <= 4'd0;
      else if (timer != 4'd15) timer <= timer + 4'd1;
      if (request) stored <= 1'b1;
      if (state == CLEARANCE && next == WALK) stored <= 1'b0;  // served
    end
  end

  assign red    = state == CLEARANCE || state == WALK || state == RED_YELLOW;
  assign yellow = state == YELLOW || state == RED_YELLOW;
  assign green  = state == GREEN;
  assign walk   = state == WALK;
endmodule
